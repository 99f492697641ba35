import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** apt with a package database of its own, so that nothing is installed and no privilege is needed. */
export interface PrivateApt {
  update(): Promise<void>;
  /** Its index files, one line of `format` for each. */
  targets(format: string): Promise<string>;
  /** The packages that `install` would add, dependencies included, as `name=version`. */
  closure(packages: readonly string[]): Promise<string[]>;
  /** Downloads packages and unpacks them, on top of each other, into `into`. */
  unpack(packages: readonly string[], into: string): Promise<void>;
}

/** Opens an apt that sees exactly these suites of the Debian archive; none means the system's own sources. */
export async function openApt(
  folder: string,
  archive: string,
  suites: readonly string[],
): Promise<PrivateApt> {
  const state = join(folder, 'apt');
  const downloads = join(state, 'downloads');
  for (const name of ['lists/partial', 'archives/partial', 'downloads', 'none']) {
    await mkdir(join(state, name), { recursive: true });
  }
  await writeFile(join(state, 'status'), '');
  const options = [
    `Dir::State=${state}`,
    `Dir::State::lists=${join(state, 'lists')}`,
    `Dir::State::status=${join(state, 'status')}`,
    `Dir::Cache=${state}`,
    'Debug::NoLocking=true',
    'APT::Sandbox::User=root',
    'APT::Update::Post-Invoke-Success=',
    'Acquire::Languages=none',
    // The Release files of old suites are valid for a week, and are not renewed for ever
    'Acquire::Check-Valid-Until=false',
    'Acquire::Retries=3',
  ];
  if (suites.length > 0) {
    const signedBy = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
    const lines = suites.map((suite) => `deb ${signedBy}${archive} ${suite} main\n`);
    await writeFile(join(state, 'sources.list'), lines.join(''));
    options.push(
      `Dir::Etc::sourcelist=${join(state, 'sources.list')}`,
      `Dir::Etc::sourceparts=${join(state, 'none')}`,
      'Dir::Etc::preferences=/dev/null',
      `Dir::Etc::preferencesparts=${join(state, 'none')}`,
    );
  }
  const apt = (...args: string[]) =>
    run('apt-get', ['-q', ...options.map((option) => `-o${option}`), ...args], downloads);

  return {
    async update() {
      await apt('update');
    },
    targets: (format) => apt('indextargets', '--format', format),
    async closure(packages) {
      const plan = await apt('install', '--simulate', '--no-install-recommends', ...packages);
      return [...plan.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => `${name}=${version}`);
    },
    async unpack(packages, into) {
      await apt('download', ...packages);
      await mkdir(into, { recursive: true });
      for (const file of await readdir(downloads)) {
        await run('dpkg-deb', ['--extract', join(downloads, file), into], downloads);
      }
    },
  };
}

/** The address of the Debian archive this machine uses, or undefined on another distribution. */
export async function findDebianArchive(folder: string): Promise<string | undefined> {
  const format = '$(LABEL)|$(CREATED_BY)|$(REPO_URI)';
  let text = await run('apt-get', ['indextargets', '--format', format], '/');
  if (text === '') {
    // Nothing is known before the first update, for example in a new container
    const apt = await openApt(folder, '', []);
    await apt.update();
    text = await apt.targets(format);
  }
  const line = text.split('\n').find((each) => each.startsWith('Debian|Packages|'));
  return line?.split('|')[2];
}

async function run(file: string, args: string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await execute(file, args, {
      cwd,
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: 1 << 26,
    });
    return stdout;
  } catch (error) {
    const details = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`Cannot run ${file} ${args.at(-1) ?? ''}: ${details || String(error)}`, { cause: error });
  }
}
