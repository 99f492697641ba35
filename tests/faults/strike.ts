// Loaded into the process of the tool before it. At the nth write to a socket, counted from the first that moves
// slots or from the very first, it does what the environment says: it ends the process, cuts or resets its connections to one
// port, or notifies the parent, which then does something to a server.
import net from 'node:net';
import process from 'node:process';

/** What should happen in the process of the tool. */
export interface Strike {
  /** The write at which it happens. */
  readonly at: number;
  /**
   * `move`: writes count from the first that opens a slot or starts a move. `changes`: only writes with a command count
   * which changes something.
   */
  readonly from: 'start' | 'move' | 'changes';
  /** Only the first half of the commands of the write is sent, if it has several. */
  readonly half?: true;
  readonly signal?: 'SIGKILL' | 'SIGINT' | 'SIGTERM';
  /** Connections to this port are reset, or carry nothing for so many milliseconds. */
  readonly cut?: { readonly port: number; readonly ms: number };
}

const strike = JSON.parse(process.env.FAULT_STRIKE ?? '{"at":0,"from":"start"}') as Strike;
const { write } = net.Socket.prototype;
const sockets = new Set<net.Socket>();
let held: (() => void)[] | undefined;
let counted = 0;
let isMoving = strike.from !== 'move';

const CHANGES =
  /\r\n(MIGRATE|CLUSTER\r\n\$\d+\r\n(?!(NODES|INFO|COUNTKEYSINSLOT|GETKEYSINSLOT|MYID|HELP|GETSLOTMIGRATIONS|SLOT-STATS)\r)|CONFIG\r\n\$\d+\r\n(SET|REWRITE))/;

/** The first half of the commands in a text, or the only one. */
function firstHalf(text: string): string {
  const starts = [...text.matchAll(/(?:^|\r\n)(?=\*\d+\r\n\$)/g)].map(
    ({ index, 0: [...cut] }) => index + cut.length,
  );
  return starts.length < 2 ? text : text.slice(0, starts[Math.ceil(starts.length / 2)]);
}

function happen(): void {
  process.send?.('struck');
  const { signal, cut } = strike;
  if (signal !== undefined) process.kill(process.pid, signal);
  if (cut === undefined) return;
  const hit = [...sockets].filter(({ remotePort }) => remotePort === cut.port);
  if (cut.ms === 0) {
    for (const socket of hit)
      socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    return;
  }
  held = [];
  for (const socket of hit) socket.pause();
  // The operation may be over before: a cut must not keep the process alive
  setTimeout(() => {
    const late = held ?? [];
    held = undefined;
    for (const socket of sockets) if (socket.remotePort === cut.port) socket.resume();
    for (const send of late) send();
  }, cut.ms).unref();
}

net.Socket.prototype.write = function (this: net.Socket, ...args: Parameters<typeof write>): boolean {
  if (this.remotePort === undefined) return write.apply(this, args);
  if (!sockets.has(this)) {
    sockets.add(this);
    this.once('close', () => sockets.delete(this));
    if (held && this.remotePort === strike.cut?.port) this.pause();
  }
  if (!isMoving) isMoving = /SETSLOT|MIGRATESLOTS|MIGRATION/.test(String(args[0]));
  const isHeld = held !== undefined && this.remotePort === strike.cut?.port;
  const counts = isMoving && (strike.from !== 'changes' || CHANGES.test(String(args[0])));
  const isStruck = counts && ++counted === strike.at;
  if (isStruck && strike.half && typeof args[0] === 'string') args[0] = firstHalf(args[0]);
  if (isHeld) held?.push(() => this.destroyed || write.apply(this, args));
  const result = isHeld || write.apply(this, args);
  if (isStruck) happen();
  return result;
} as typeof write;

process.channel?.unref();
