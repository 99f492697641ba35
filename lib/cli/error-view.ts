import { ClusterError, ConnectionError, messageOf, ProtocolError, ReplyError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';

const REPLY_HINTS: Readonly<Record<string, string>> = {
  NOAUTH: 'Give the password in the environment variable REDISCLI_AUTH, or with --pass-file or --askpass',
  WRONGPASS: 'Check --user, and the password in REDISCLI_AUTH, --pass-file or --pass',
  NOPERM: 'Give the ACL user the right to run this command',
};

/** An error as people read it: what happened, what is left behind, what to do next. */
export function describeError(error: unknown, interrupted: boolean): string {
  if (interrupted) {
    return 'Interrupted: stopped at a safe point, no slot was left open. Run the same command again to go on.\n';
  }
  if (!isExpected(error)) {
    return `Unexpected error, please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const open = error instanceof ClusterError ? error.openSlots : [];
  return [
    `Error: ${error.message}`,
    ...(open.length > 0 ? [`Slots left open: ${formatSlots(open)}`] : []),
    ...(hintOf(error) ? [`Next: ${hintOf(error)}`] : []),
    '',
  ].join('\n');
}

/** An error as programs read it. */
export function errorData(error: unknown, interrupted: boolean): Record<string, unknown> {
  if (interrupted)
    return { code: 'INTERRUPTED', message: 'Interrupted at a safe point', openSlots: [], resumable: true };
  const known = error instanceof ClusterError ? error : undefined;
  const code = (error as { code?: unknown } | null)?.code;
  const hint = error instanceof Error ? hintOf(error) : undefined;
  return {
    code: typeof code === 'string' ? code : 'UNEXPECTED',
    message: messageOf(error),
    ...(typeof (error as { address?: unknown })?.address === 'string'
      ? { address: (error as { address: string }).address }
      : {}),
    ...(hint === undefined ? {} : { hint }),
    openSlots: known?.openSlots ?? [],
    resumable: known?.resumable ?? false,
    ...(known && known.keys.length > 0
      ? { keys: known.keys.map((key) => Buffer.from(key, 'latin1').toString('utf8')) }
      : {}),
  };
}

function isExpected(error: unknown): error is Error {
  return [ClusterError, ReplyError, ConnectionError, ProtocolError, RangeError].some(
    (known) => error instanceof known,
  );
}

function hintOf(error: Error): string | undefined {
  if (error instanceof ClusterError) return error.hint;
  if (error instanceof ReplyError) return REPLY_HINTS[error.code];
  if (error instanceof ConnectionError)
    return 'Check the address, and that the server runs; with --tls if it speaks TLS';
  return undefined;
}
