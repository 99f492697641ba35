// Writes the manual page, at the end of `npm run build`.
import { writeFileSync } from 'node:fs';
import { manPage } from './helpers/man-page.ts';

writeFileSync(new URL('../dist/redis-trib.1', import.meta.url), manPage());
