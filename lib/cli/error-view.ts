import { ClusterError, ConnectionError, messageOf, ProtocolError, ReplyError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';
import type { SlotsMoved } from './progress.ts';

const REPLY_HINTS: Readonly<Record<string, string>> = {
  NOAUTH: 'Give the password in the environment variable REDISCLI_AUTH, or with --pass-file or --askpass',
  WRONGPASS: 'Check --user, and the password in REDISCLI_AUTH, --pass-file or --pass',
};

const NO_PASSWORD_HINT =
  'The node asks for no password: leave out --pass, --pass-file and --askpass, and unset REDISCLI_AUTH';

const UNKNOWN_COMMAND_HINT =
  'The server has that command renamed or turned off, or is too old for it. What each operation sends: docs/acl.md';

/** How an error came about, and what must not be shown of it. */
export interface ErrorContext {
  readonly interrupted: boolean;
  readonly password: string | undefined;
  /** What goes on where it was stopped. @default `Run the same command again` */
  readonly again?: string | undefined;
  readonly moved?: SlotsMoved;
}

const AGAIN = 'Run the same command again';

/** An error as people read it: what happened, what is left behind, what to do next. */
export function describeError(error: unknown, context: ErrorContext): string {
  const { interrupted, password, again = AGAIN, moved } = context;
  const soFar = moved && moved.done > 0 ? `${moved.done} of ${moved.of} slots have moved` : '';
  if (interrupted) {
    const how = `Interrupted: stopped at a safe point, it left no slot open.${soFar && ` ${soFar}.`}`;
    return `${how} ${again} to go on.\n`;
  }
  if (!isExpected(error)) {
    return `Unexpected error, please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const open = error instanceof ClusterError ? error.openSlots : [];
  const hint = hintOf(error)?.replace(AGAIN, again);
  return [
    `Error: ${shownMessage(error, password)}`,
    ...(soFar ? [`Before that ${soFar}`] : []),
    ...(open.length > 0 ? [`Slots left open: ${formatSlots(open)}`] : []),
    ...(hint ? [`Next: ${hint}`] : []),
    '',
  ].join('\n');
}

/** An error as programs read it. */
export function errorData(
  error: unknown,
  { interrupted, password, again = AGAIN }: ErrorContext,
): Record<string, unknown> {
  if (interrupted)
    return { code: 'INTERRUPTED', message: 'Interrupted at a safe point', openSlots: [], resumable: true };
  const known = error instanceof ClusterError ? error : undefined;
  const code = (error as { code?: unknown } | null)?.code;
  const hint = error instanceof Error ? hintOf(error)?.replace(AGAIN, again) : undefined;
  return {
    code: typeof code === 'string' ? code : 'UNEXPECTED',
    message: shownMessage(error, password),
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

// What a server says, with the node that says it. Servers repeat the arguments of a command that they do not know: those
// of MIGRATE hold the password.
function shownMessage(error: unknown, password: string | undefined): string {
  // OpenSSL wraps what it has to say in file names, numbers and an empty line.
  const message = messageOf(error).replace(/[0-9A-F]+:error:[^:]*:[^:]*:[^:]*:([^:]+):[\s\S]*/, '$1');
  const text = isReply(error) && error.address ? `${error.address} answers: ${message}` : message;
  return password && causes(error).some(isReply) ? text.replaceAll(password, '***') : text;
}

function causes(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : [];
}

function isReply(error: unknown): error is ReplyError {
  return error instanceof ReplyError;
}

function hintOf(error: Error): string | undefined {
  if (error instanceof ClusterError) return error.hint;
  if (error instanceof ReplyError) {
    return error.message.includes('without any password configured')
      ? NO_PASSWORD_HINT
      : error.code === 'NOPERM'
        ? permissionHint(error)
        : error.message.startsWith('ERR unknown command')
          ? UNKNOWN_COMMAND_HINT
          : REPLY_HINTS[error.code];
  }
  return error instanceof ConnectionError ? connectionHint(error) : undefined;
}

// Since Redis 7.0 the server names the user and the command, `cluster|nodes` for one.
function permissionHint({ message }: ReplyError): string {
  const [, user, command] = /User (\S+) has no permissions to run the '([^']+)' command/.exec(message) ?? [];
  if (user && command)
    return `Give the user the right to run it: ACL SETUSER ${user} +${command}. See docs/acl.md`;
  return 'Give the ACL user the rules that docs/acl.md names for this command';
}

function connectionHint({ code, message }: ConnectionError): string {
  if (/does not answer in TLS|may not speak TLS/.test(message))
    return 'Leave out --tls: the node does not speak it';
  if (message.includes('certificate required')) return 'Give a client certificate with --cert and --key';
  if (/CERT|ALTNAME|SIGNATURE|ISSUER/.test(code)) {
    return "Give the authority's certificate with --cacert, and the name in the node's with --sni if it is another";
  }
  if (message.includes('may expect TLS')) return 'Add --tls if the node speaks TLS';
  return 'Check the address, and that the server runs';
}
