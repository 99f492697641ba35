// Installs the development packages if they are missing, so that `npm run demo` is one command on a fresh clone.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import process from 'node:process';

try {
  createRequire(import.meta.url).resolve('tsx');
} catch {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  console.log('Installing the development packages (npm ci), once');
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  process.exitCode =
    spawnSync(npm, args, { stdio: 'inherit', shell: process.platform === 'win32' }).status ?? 1;
}
