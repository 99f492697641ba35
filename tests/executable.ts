// Makes one executable of the command line and of the Node.js that runs this, and uses it: `npm run test:executable`.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { openBed } from './bed/index.ts';
import { makeExecutable, useExecutable } from './helpers/executable.ts';

const file = fileURLToPath(new URL('../dist-single/redis-trib', import.meta.url));

execFileSync('npm', ['run', '--silent', 'build:single'], { stdio: 'inherit' });
makeExecutable(process.execPath, file);
await using bed = await openBed();
await useExecutable(file, bed);
console.log(`dist-single/redis-trib works: ${statSync(file).size} B, with Node.js ${process.versions.node}`);
