import { parseAddress } from '../model/address.ts';

/** A connection to a node: the fields of a line of CLIENT LIST that are used here. */
export interface Client {
  readonly id: string;
  /** Where it comes from, as the node sees it: `host:port`, or the path of a Unix socket and `:0`. */
  readonly from: string;
  readonly host: string;
  /** Empty if it has none. */
  readonly name: string;
  readonly ageSeconds: number;
  /** Bytes that the node has read from it, where it says so: Valkey 8.0 and newer. */
  readonly received: number | undefined;
  /** Its last command, in lower case; `NULL` before the first. */
  readonly command: string;
}

const FIELD = /(?:^| )(id|addr|name|age|tot-net-in|cmd)=(\S*)/g;

/** Reads the reply of CLIENT LIST. */
export function parseClientList(text: string): Client[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('id='))
    .map((line) => {
      const fields = new Map<string, string>();
      for (const [, field = '', value = ''] of line.matchAll(FIELD)) fields.set(field, value);
      const from = fields.get('addr') ?? '';
      const command = (fields.get('cmd') ?? '').toLowerCase();
      return {
        id: fields.get('id') ?? '',
        from,
        host: from.includes(':') ? hostOf(from) : from,
        name: fields.get('name') ?? '',
        ageSeconds: Number(fields.get('age') ?? 0),
        received: fields.has('tot-net-in') ? Number(fields.get('tot-net-in')) : undefined,
        command: command === 'null' ? 'NULL' : command,
      };
    });
}

// A Unix socket has its path there, with 0 as the port.
function hostOf(from: string): string {
  try {
    return parseAddress(from).host;
  } catch {
    return from;
  }
}
