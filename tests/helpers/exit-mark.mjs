// Loaded into the process of a test file, says on its descriptor 3 that all is done, and with which exit code.

import { writeSync } from 'node:fs';
import process from 'node:process';

process.on('exit', (code) => {
  writeSync(3, `${process.exitCode ?? code}`);
});
