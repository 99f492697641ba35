import { readFileSync } from 'node:fs';

/** Collects the resident megabytes of a process, by its id, each time it is called. */
export function memorySampler() {
  const seen = [];
  return {
    seen,
    tick(pid) {
      try {
        const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
        if (kilobytes !== undefined) seen.push(Number(kilobytes) / 1024);
      } catch {
        // The process has exited.
      }
    },
  };
}
