// A sidecar for a node of a cluster: looks at the cluster every few seconds, prints a line of JSON for each look, and answers
// GET /healthz (this node serves) and GET /cluster (the last look) on a port of its own. Ends on SIGTERM.
//
//   CLUSTER=127.0.0.1:6379 PORT=8080 EVERY_MS=10000 REDISCLI_AUTH=... node sidecar.ts
import { createServer, type ServerResponse } from 'node:http';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CheckResult, check, isReady } from 'redis-trib';

const { CLUSTER = '127.0.0.1:6379', PORT = '8080', EVERY_MS = '10000', REDISCLI_AUTH } = process.env;
const stop = new AbortController();
const { signal } = stop;
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
const options = {
  ...(REDISCLI_AUTH ? { password: REDISCLI_AUTH } : {}),
  connectTimeout: 2000,
  commandTimeout: 2000,
  signal,
};

/** What is worth counting, as flat JSON. */
function figuresOf({ ok, findings, view }: CheckResult) {
  const masters = view.nodes.filter(({ role }) => role === 'master');
  const count = (severity: string): number => findings.filter((one) => one.severity === severity).length;
  return {
    time: new Date().toISOString(),
    ok,
    masters: masters.length,
    replicas: view.nodes.length - masters.length,
    unreachable: view.unreachable.size,
    errors: count('error'),
    warnings: count('warning'),
    findings: findings.map(({ kind, nodes }) => ({ kind, nodes })),
  };
}

let last: object = { ok: false, message: 'No look yet' };

async function look(): Promise<void> {
  try {
    last = figuresOf(await check(CLUSTER, options));
  } catch (error) {
    if (signal.aborted) return;
    const { code, message } = error as Error & { code?: string };
    last = { time: new Date().toISOString(), ok: false, code, message };
  }
  console.log(JSON.stringify(last));
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function health(): Promise<{ ok: boolean; missing: readonly string[] }> {
  try {
    return await isReady(CLUSTER, options);
  } catch (error) {
    return { ok: false, missing: [(error as Error).message] };
  }
}

const server = createServer(async ({ url }, response) => {
  if (url === '/cluster') return reply(response, 200, last);
  if (url !== '/healthz') return reply(response, 404, { ok: false });
  const { ok, missing } = await health();
  reply(response, ok ? 200 : 503, { ok, missing });
}).listen(Number(PORT));

while (!signal.aborted) {
  await look();
  await sleep(Number(EVERY_MS), undefined, { signal }).catch(() => undefined);
}
server.close();
server.closeAllConnections();
