import {
  ClusterError,
  ConnectionError,
  messageOf,
  missingRight,
  NOTHING_SO_FAR,
  ProtocolError,
  ReplyError,
} from '../errors.ts';
import type { Behind, Stopped } from '../events.ts';
import type { MovedSoFar, Resumable } from '../model/cluster-error.ts';
import type { Advice, Next } from '../model/next.ts';
import { formatSlots } from '../model/slot.ts';
import { count, duration } from './figures.ts';
import { adviceLines, adviceText, type Typed } from './hints.ts';

/** The context of an error, and the password that must not be shown. */
export interface ErrorContext {
  readonly interrupted: boolean;
  readonly password: string | undefined;
  readonly typed: Typed;
  /** What the operation said when it ended; undefined if it had not begun. */
  readonly stopped?: Stopped | undefined;
  /** True if it was interrupted at a question: nothing had begun. */
  readonly unanswered?: boolean;
}

/** An error as people read it: what happened, what was moved, what is left behind, what to do next. */
export function describeError(error: unknown, context: ErrorContext): string {
  const { interrupted, password, stopped, typed } = context;
  if (interrupted) return context.unanswered ? `${UNANSWERED}\n` : describeInterruption(context);
  if (isNo(error) && typed.dialect === 'native') return `${error.message}: nothing was changed\n`;
  if (!isExpected(error)) {
    return `Unexpected error, please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const soFar = movedText(movedOf(error, stopped), 'were moved');
  const open = openSlotsOf(error, stopped);
  const [first, ...more] = adviceLines(adviceOf(error, context), typed);
  return [
    `Error: ${shownMessage(error, password)}`,
    ...(soFar ? [`Before that, ${soFar}`] : []),
    ...(open.length > 0 ? [`Slots left open: ${formatSlots(open)}`] : []),
    ...(stopped && stopped.silent.length > 0 ? [mayBeOpen(stopped)] : []),
    ...(first ? [`Next: ${first}`] : []),
    ...more.map((line) => `      ${line}`),
    '',
  ].join('\n');
}

const UNANSWERED = 'Interrupted: nothing was changed';

// A no is an answer, not an error. Where the question could not be asked, there is more to say.
function isNo(error: unknown): error is ClusterError {
  return (
    error instanceof ClusterError && error.code === 'NOT_APPROVED' && error.hint === 'Nothing was changed'
  );
}

function describeInterruption({ stopped, typed }: ErrorContext): string {
  const ended = !stopped ? '' : slotsAtEnd(stopped);
  const soFar = stopped && movedText(stopped.moved, 'have moved');
  const next = stopped?.next ?? [{ do: 'retry' }];
  const [first = '', ...more] = adviceLines({ next }, typed);
  const again = next[0]?.do === 'fix' ? first : `${first} to continue.`;
  const asked = stopped?.failovers ?? [];
  const pending =
    asked.length > 0 ? [`The failover to ${asked.join(', ')} that was asked for may still happen.`] : [];
  const text = [
    `Interrupted at a safe point${ended}.`,
    ...(soFar ? [`${soFar}.`] : []),
    ...pending,
    ...(stopped?.behind ? [behindText(stopped.behind)] : []),
    again,
  ].join(' ');
  return [text, ...more, ''].join('\n');
}

function behindText({ keys, ms }: Behind): string {
  if (keys === 0 && ms === 0) return 'No change was left to copy.';
  return `${count(keys, 'changed key')} ${keys === 1 ? 'was' : 'were'} not copied, ${duration(ms)} behind.`;
}

function slotsAtEnd({ openSlots, silent }: Stopped): string {
  const open =
    openSlots.length > 0
      ? `. ${openSlots.length === 1 ? '1 slot is' : `${openSlots.length} slots are`} still open: ${formatSlots(openSlots)}`
      : '';
  return silent.length > 0 ? `${open}. ${mayBeOpen({ silent })}` : open || ': no slot is open';
}

function mayBeOpen({ silent }: Pick<Stopped, 'silent'>): string {
  return `Slots may be open on ${silent.join(', ')}, which ${silent.length === 1 ? 'does' : 'do'} not answer`;
}

/** An error as JSON data. */
export interface ErrorData {
  /** Stable: that of an error of the library, of Node.js or of a server's reply; or USAGE, INTERRUPTED, UNEXPECTED. */
  readonly code: string;
  readonly message: string;
  /** The node it is about. */
  readonly address?: string;
  /** What to do next in words, a line for each way. */
  readonly hint?: string | undefined;
  /** The same as data, the best first. */
  readonly next: readonly Next[];
  readonly openSlots: readonly number[];
  /** Addresses of nodes that did not answer when the command ended. */
  readonly silent: readonly string[];
  readonly resumable: Resumable;
  readonly moved: MovedSoFar;
  /** Addresses of replicas that were asked to replace their masters, and may still do so. */
  readonly failovers: readonly string[];
  /** How far a copy that followed its source was behind it. */
  readonly behind: Behind | null;
  /** Keys that it is about. */
  readonly keys?: readonly string[];
}

export function errorData(error: unknown, context: ErrorContext): ErrorData {
  const { interrupted, password, stopped, typed } = context;
  const silent = stopped?.silent ?? [];
  const known = error instanceof ClusterError ? error : undefined;
  if (interrupted) {
    const { openSlots = [], resumable = 'same-call', next = [{ do: 'retry' as const }] } = stopped ?? {};
    return {
      code: 'INTERRUPTED',
      message: context.unanswered ? UNANSWERED : 'Interrupted at a safe point',
      hint: adviceText({ next }, typed),
      ...{ next, openSlots, silent, resumable, moved: movedOf(undefined, stopped) },
      failovers: stopped?.failovers ?? [],
      behind: stopped?.behind ?? null,
    };
  }
  const code = (error as { code?: unknown } | null)?.code;
  const advice = error instanceof Error ? adviceOf(error, context) : {};
  return {
    code: typeof code === 'string' ? code : 'UNEXPECTED',
    message: shownMessage(error, password),
    ...(typeof (error as { address?: unknown })?.address === 'string'
      ? { address: (error as { address: string }).address }
      : {}),
    hint: adviceText(advice, typed),
    next: advice.next ?? [],
    openSlots: openSlotsOf(error, stopped),
    silent,
    resumable: known?.resumable ?? stopped?.resumable ?? 'no',
    moved: movedOf(error, stopped),
    failovers: stopped?.failovers ?? [],
    behind: stopped?.behind ?? null,
    ...(known && known.keys.length > 0
      ? { keys: known.keys.map((key) => Buffer.from(key, 'latin1').toString('utf8')) }
      : {}),
  };
}

// A ClusterError says all that its operation says at its end.
function openSlotsOf(error: unknown, stopped: Stopped | undefined): readonly number[] {
  return error instanceof ClusterError ? error.openSlots : (stopped?.openSlots ?? []);
}

function movedOf(error: unknown, stopped: Stopped | undefined): MovedSoFar {
  return error instanceof ClusterError ? error.moved : (stopped?.moved ?? NOTHING_SO_FAR);
}

function movedText({ slots, planned, keys }: MovedSoFar, verb: 'have moved' | 'were moved'): string {
  if (planned > 0 && slots === 0 && keys === 0)
    return verb === 'have moved' ? 'No slot has moved' : 'no slot was moved';
  if (planned > 0) return `${slots} of ${planned} slots ${verb}, with ${count(keys, 'key')}`;
  return keys > 0 ? `${count(keys, 'key')} ${keys === 1 ? 'was' : 'were'} copied` : '';
}

function isExpected(error: unknown): error is Error {
  return [ClusterError, ReplyError, ConnectionError, ProtocolError].some((known) => error instanceof known);
}

// An error reply, with its node. Servers repeat the arguments of a command that they do not know, and those of MIGRATE
// include the password.
function shownMessage(error: unknown, password: string | undefined): string {
  // OpenSSL wraps its message in file names, numbers and an empty line.
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

function adviceOf(error: Error, { typed, stopped }: ErrorContext): Advice {
  if (error instanceof ClusterError) return error;
  const hint =
    error instanceof ReplyError
      ? replyHint(error, typed)
      : error instanceof ConnectionError
        ? connectionHint(error, prefixFor(error.address, typed))
        : error instanceof ProtocolError && error.code === 'RESP_TLS'
          ? addTls(prefixFor(error.address, typed))
          : undefined;
  return { hint, next: stopped?.next };
}

/** What the names of options begin with by which this node is reached. */
function prefixFor(address: string | undefined, { second }: Typed): string {
  return second !== undefined && address === second.address ? `--${second.prefix}-` : '--';
}

function replyHint(error: ReplyError, typed: Typed): string | undefined {
  const { dialect, values, second } = typed;
  const { code, message } = error;
  const isNative = dialect === 'native';
  const prefix = prefixFor(error.address, typed);
  const isSecond = prefix !== '--';
  const variable = isSecond ? `REDISCLI_${second?.prefix.toUpperCase()}_AUTH` : 'REDISCLI_AUTH';
  if (message.includes('without any password configured')) {
    const given = isSecond ? `${prefix}pass-file` : isNative ? '--pass, --pass-file' : '-a, --pass';
    return `The node does not require a password: omit ${given} and ${prefix}askpass, and unset ${variable}`;
  }
  if (code === 'NOPERM') {
    const right = missingRight(error);
    const user = values[isSecond ? `${second?.prefix}-user` : 'user'];
    return right
      ? `Give the user the right to run it: ACL SETUSER ${right.user ?? user ?? 'default'} +${right.command}. All rules: redis-trib help acl`
      : 'Give the ACL user the rules that this command needs: redis-trib help acl';
  }
  if (code === 'NOAUTH')
    return `Give the password in the environment variable ${variable}, or with ${isNative ? `${prefix}pass-file or ` : ''}${prefix}askpass`;
  if (code === 'WRONGPASS') {
    const ways = isSecond ? ` or ${prefix}pass-file` : `${isNative ? ', --pass-file' : ''} or --pass`;
    return `Check ${prefix}user, and the password in ${variable}${ways}`;
  }
  return message.startsWith('ERR unknown command')
    ? 'The command is renamed or disabled on the server, or the server is too old for it. What each command sends: redis-trib help acl'
    : undefined;
}

function addTls(prefix: string): string {
  return `Add ${prefix}tls if the node uses TLS`;
}

function connectionHint({ tls }: ConnectionError, prefix: string): string {
  switch (tls) {
    case 'not-spoken':
      return `Omit ${prefix}tls, and write redis:// for rediss://: the node does not use TLS`;
    case 'certificate-required':
      return `Give a client certificate with ${prefix}cert and ${prefix}key`;
    case 'untrusted':
      return `Give the authority's certificate with ${prefix}cacert, and the name in the node's certificate with ${prefix}sni if it differs`;
    case 'expected':
      return addTls(prefix);
    default:
      return 'Check the address, and that the server is running';
  }
}
