import { readFileSync } from 'node:fs';

/** Ticks of the clock by which processor time is counted. */
const TICKS_PER_SECOND = 100;

/** Collects the resident megabytes of a process, by its id, each time it is called, and the seconds of processor time it has used. */
export function memorySampler() {
  const seen = [];
  const sampler = {
    seen,
    seconds: 0,
    tick(pid) {
      try {
        const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
        if (kilobytes !== undefined) seen.push(Number(kilobytes) / 1024);
        // The fields after the name: user and system time are the twelfth and the thirteenth.
        const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
        if (fields.length > 12)
          sampler.seconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
      } catch {
        // The process has exited.
      }
    },
  };
  return sampler;
}
