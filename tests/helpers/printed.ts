/** Fails unless all that a command line with --json or --json-stream printed is as docs/schema says. */
export async function assertOutput(args: readonly string[], stdout: string): Promise<void> {
  if (!args.some((word) => /--json\b/.test(word))) return;
  // Most tests print no JSON, and the validator takes a moment to load.
  const { assertPrinted } = await import('./schemas.ts');
  // The last line of a process that was killed may be cut.
  const lines = stdout.split('\n').slice(0, -1);
  for (const line of lines) if (line.startsWith('{"version":')) assertPrinted(line);
}
