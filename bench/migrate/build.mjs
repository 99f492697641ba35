import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds the package as it is published. */
export function build() {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
  return {
    cli: join(root, 'dist/cli.js'),
    library: pathToFileURL(join(root, 'dist/lib/index.js')).href,
  };
}
