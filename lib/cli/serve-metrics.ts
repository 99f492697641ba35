import { Buffer } from 'node:buffer';
import { createServer, type ServerResponse } from 'node:http';
import { messageOf } from '../errors.ts';
import type { Address } from '../model/address.ts';
import { formatMetrics, type Metric, upMetric } from '../model/metric.ts';

const TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
/** A scrape sends a few headers. */
const LIMITS = { requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 8192 };

export interface MetricsServer {
  readonly address: Address;
  /** Resolves when the signal has stopped it. */
  readonly closed: Promise<void>;
  readonly scrapes: () => number;
}

/**
 * Serves metrics by HTTP until the signal aborts. Each scrape asks the cluster; scrapes in the meantime get the same answer. If the
 * cluster cannot be asked, the metrics say that it is not up, and `tell` says why, once for each reason.
 */
export async function serveMetrics(
  { host, port }: Address,
  ask: () => Promise<readonly Metric[]>,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<MetricsServer> {
  let asking: Promise<readonly Metric[]> | undefined;
  let reason = '';
  let scrapes = 0;
  const answer = async (): Promise<readonly Metric[]> => {
    try {
      const metrics = await ask();
      reason = '';
      return metrics;
    } catch (error) {
      const message = messageOf(error);
      if (message !== reason && !signal.aborted) tell(message);
      reason = message;
      return [upMetric(false)];
    } finally {
      asking = undefined;
    }
  };
  const server = createServer(LIMITS, async ({ method, url = '' }, response) => {
    const path = url.split('?')[0];
    if (path !== '/metrics') return send(response, 404, 'text/plain', 'The metrics are at /metrics\n');
    if (method !== 'GET' && method !== 'HEAD')
      return send(response.setHeader('Allow', 'GET, HEAD'), 405, 'text/plain', 'Only GET is possible\n');
    asking ??= answer();
    const text = formatMetrics(await asking);
    scrapes++;
    send(response, 200, TYPE, text);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host, port }, resolve);
  });
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
  const bound = server.address();
  const address = typeof bound === 'object' && bound !== null ? { host, port: bound.port } : { host, port };
  return { address, closed, scrapes: () => scrapes };
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}
