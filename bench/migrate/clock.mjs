/** Milliseconds of a clock shared by all processes of a machine. */
export const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
