import { isHost } from './address.ts';
import {
  changeAnswers,
  isFailure,
  isRefusal,
  type Recorded,
  type Recording,
  type Unanswered,
} from './recording.ts';
import { Names } from './stand-ins.ts';

const ID = /\b[0-9a-f]{40}\b/g;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/** Words of an error that may be an address or a host: with a dot, or a colon and a port. */
const PLACES =
  /[\w-]+(?:\.[\w-]+)+(?::\d+)?|\[[0-9a-f:.]+\]:\d+|[\w-]+:\d+\b|(?<=ENOTFOUND |EAI_AGAIN )\S+/gi;

/** Values in INFO and of settings that are the same words everywhere. */
const PLAIN =
  /^(?:[-\d. ]*[%KMGTB]?|ok|err|up|down|yes|no|on|off|optional|CN|ip|hostname|unknown-endpoint|master|slave|replica|cluster|standalone|redis|valkey|no-failover|noeviction|(?:allkeys|volatile)-[a-z]+|(?:online|wait_bgsave|send_bulk)|dev|rc\d|ga)$/;

/**
 * The same with stand-ins for ids, hosts, ports, zones, and the names of users and libraries: equal ones for equal names, in every place.
 * What is not known to be without names is left out.
 */
export function anonymous(recording: Recording): Recording {
  const disguise = new Disguise();
  // The first time to learn all names.
  disguise.of(recording);
  disguise.settle();
  return disguise.of(recording);
}

class Disguise {
  readonly #ids = new Names((_, index) => `${(0x10000000 + index).toString(16)}${'0'.repeat(32)}`);
  readonly #hosts = new Names(hostStandIn);
  readonly #ports = new Names(
    (_, index) => `${7000 + index}`,
    (a, b) => Number(a) - Number(b),
  );
  readonly #zones = new Names((_, index) => `zone-${1000 + index}`);
  readonly #users = new Names((_, index) => `user-${1000 + index}`);
  readonly #libraries = new Names((_, index) => `library${1000 + index}`);

  settle(): void {
    for (const names of [this.#ids, this.#hosts, this.#ports, this.#zones, this.#users, this.#libraries])
      names.settle();
  }

  of(recording: Recording): Recording {
    const [seed, ...elsewhere] = recording.asked;
    const changed = changeAnswers(recording, (answer, command) => this.#answer(answer, command));
    return {
      ...changed,
      asked: [this.#address(seed), ...elsewhere.map((address) => this.#address(address))],
      nodes: new Map([...changed.nodes].map(([address, node]) => [this.#address(address), node])),
    };
  }

  #answer(answer: Recorded | Unanswered, command: string): Recorded | Unanswered | undefined {
    if (isFailure(answer)) return { ...answer, message: this.#prose(answer.message) };
    if (isRefusal(answer)) return { error: this.#prose(answer.error) };
    const [word, about = ''] = command.split(' ');
    if (word === 'INFO') return this.#lines(answer, '\r\n', (line) => this.#infoLine(line));
    if (word === 'CONFIG') return this.#pairs(answer, (name, value) => this.#setting(name, value));
    if (word === 'ACL') return list(answer).map((line) => this.#user(`${line}`));
    if (word === 'FUNCTION')
      return list(answer).map((library) =>
        this.#pairs(library, (name, value) => (name === 'library_name' ? this.#libraries.of(value) : value)),
      );
    if (about === 'NODES') return this.#lines(answer, '\n', (line) => this.#nodeLine(line));
    if (about === 'SHARDS') return list(answer).map((shard) => this.#shard(shard));
    if (about === 'INFO') return this.#lines(answer, '\r\n', (line) => this.#infoLine(line));
    if (about === 'MYID' || about === 'MYSHARDID') return this.#inText(answer);
    if (about === 'LINKS') return list(answer).map((link) => list(link).map((one) => this.#inText(one)));
    return undefined;
  }

  #lines(answer: Recorded, end: string, change: (line: string) => string | undefined): Recorded {
    if (typeof answer !== 'string') return null;
    return answer
      .split(end)
      .flatMap((line) => change(line) ?? [])
      .join(end);
  }

  #pairs(answer: Recorded, change: (name: string, value: string) => string | undefined): Recorded {
    const texts = list(answer);
    return texts.flatMap((name, at) => {
      const value = texts[at + 1] ?? null;
      const changed = at % 2 === 0 ? change(`${name}`, `${value ?? ''}`) : undefined;
      if (changed === undefined) return [];
      return [name, value === null || typeof value === 'number' ? value && Number(changed) : changed];
    });
  }

  // ID HOST:PORT@BUSPORT[,HOSTNAME[,NAME=VALUE]...] FLAGS MASTER ...
  #nodeLine(line: string): string {
    const [id = '', place = '', ...rest] = line.split(' ');
    if (line === '') return line;
    const [address = '', hostname, ...named] = place.split(',');
    const [, where = '', busPort] = /^(.*?)(?:@(\d+))?$/.exec(address) ?? [];
    const more = named.flatMap((pair) => {
      const [name = '', value = ''] = pair.split('=');
      if (name === 'shard-id') return `${name}=${this.#ids.of(value)}`;
      return /port$/.test(name) ? `${name}=${this.#port(value)}` : [];
    });
    const bus = busPort === undefined ? '' : `@${this.#busPort(where, busPort)}`;
    return [
      this.#ids.of(id),
      [
        `${this.#address(where)}${bus}`,
        ...(hostname === undefined ? [] : [this.#hosts.of(hostname)]),
        ...more,
      ].join(),
      ...rest.map((word) => `${this.#inText(word)}`),
    ].join(' ');
  }

  // Most are the port plus 10000, and servers assume that of any other.
  #busPort(where: string, busPort: string): string {
    const port = /:(\d+)$/.exec(where)?.[1] ?? '0';
    return Number(busPort) === Number(port) + 10_000
      ? `${Number(this.#port(port)) + 10_000}`
      : this.#port(busPort);
  }

  #infoLine(line: string): string | undefined {
    const at = line.indexOf(':');
    if (at < 0) return line;
    const [name, value] = [line.slice(0, at), line.slice(at + 1)];
    if (name === 'master_host') return `${name}:${this.#hosts.of(value)}`;
    if (name === 'availability_zone') return `${name}:${this.#zones.of(value)}`;
    if (/port$/.test(name)) return `${name}:${this.#port(value)}`;
    if (/^slave\d+$/.test(name)) return `${name}:${this.#replica(value)}`;
    if (/^(?:db\d+|errorstat_[A-Z]+)$/.test(name) && /^[\w=,.]*$/.test(value)) return line;
    if (PLAIN.test(value)) return line;
    return value.replaceAll(ID, '') === '' ? `${name}:${this.#inText(value)}` : undefined;
  }

  // ip=HOST,port=PORT,state=online,offset=14,lag=0,type=replica
  #replica(value: string): string {
    return value
      .split(',')
      .flatMap((pair) => {
        const [name = '', word = ''] = pair.split('=');
        if (name === 'ip') return `${name}=${this.#hosts.of(word)}`;
        if (name === 'port') return `${name}=${this.#port(word)}`;
        return PLAIN.test(word) ? pair : [];
      })
      .join();
  }

  #setting(name: string, value: string): string | undefined {
    if (name === 'masteruser') return this.#named(value);
    if (name === 'requirepass' || name === 'masterauth') return value;
    return !name.startsWith('cluster-announce') && PLAIN.test(value) ? value : undefined;
  }

  #user(line: string): string {
    const [word, name = '', ...rules] = line.split(' ');
    return [word, this.#named(name), ...rules].join(' ');
  }

  #port(port: string): string {
    return port === '0' ? port : this.#ports.of(port);
  }

  #named(user: string): string {
    return user === 'default' ? user : this.#users.of(user);
  }

  // slots, [0, 5460], nodes, [[id, ID, port, 7000, …], …]
  #shard(shard: Recorded): Recorded {
    const fields = list(shard);
    return fields.map((value, at) => {
      if (at % 2 === 0) return value;
      return fields[at - 1] === 'nodes'
        ? list(value).map((node) => this.#pairs(node, (name, text) => this.#shardNode(name, text)))
        : value;
    });
  }

  #shardNode(name: string, value: string): string | undefined {
    if (name === 'ip' || name === 'endpoint' || name === 'hostname') return this.#hosts.of(value);
    if (name === 'availability-zone') return this.#zones.of(value);
    if (/port$/.test(name)) return this.#port(value);
    if (name === 'id' || name === 'shard-id') return this.#ids.of(value);
    return ['role', 'health', 'replication-offset'].includes(name) ? value : undefined;
  }

  #inText(answer: Recorded): Recorded {
    return typeof answer === 'string' ? answer.replaceAll(ID, (id) => this.#ids.of(id)) : answer;
  }

  /** What a server or the network says of an error: names may be anywhere in it. */
  #prose(text: string): string {
    return `${this.#inText(text)}`
      .replace(
        /\b([Uu]ser) ([^\s'"]+)(?= has no permissions)/g,
        (_, word, user) => `${word} ${this.#named(user)}`,
      )
      .replaceAll(PLACES, (place) => (/:\d+$/.test(place) ? this.#address(place) : this.#hosts.of(place)));
  }

  #address(text: string): string {
    const [, host = text, port] = /^(.*):(\d+)$/.exec(text) ?? [];
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    const shown = host === bare ? this.#hosts.of(bare) : `[${this.#hosts.of(bare)}]`;
    return port === undefined ? shown : `${shown}:${this.#port(port)}`;
  }
}

function list(answer: Recorded | undefined): readonly Recorded[] {
  return Array.isArray(answer) ? answer : [];
}

function hostStandIn(name: string, index: number): string {
  if (IPV4.test(name)) return `10.100.${100 + Math.floor(index / 156)}.${100 + (index % 156)}`;
  if (name.includes(':') && isHost(name)) return `fd00::${(0x1000 + index).toString(16)}`;
  // One that cannot be a host stays such.
  return isHost(name) ? `host-${1000 + index}` : `no host ${1000 + index}`;
}
