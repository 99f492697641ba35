// Loaded into the process of a test file. Writes its exit code to descriptor 3 when everything is done.

import { writeSync } from 'node:fs';
import process from 'node:process';

process.on('exit', (code) => {
  writeSync(3, `${process.exitCode ?? code}`);
});
