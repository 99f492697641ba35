import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TlsFiles } from './types.ts';

const run = promisify(execFile);

// Elliptic curve keys, because making an RSA one takes seconds on a busy machine
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Makes a certificate authority and its certificate for loopback addresses, with the `openssl` command. */
export async function makeCertificate(dir: string): Promise<TlsFiles> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: dir });
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    '/CN=bed',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
  );
  return signCertificate(dir, 'DNS:localhost,IP:127.0.0.1,IP:::1');
}

/** Makes a key, and a certificate by the authority in that folder for these names, in the form of openssl's `subjectAltName`. */
export async function signCertificate(dir: string, names: string): Promise<TlsFiles> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: dir });
  await openssl('req', ...newKey, '-subj', '/CN=node', '-keyout', 'node.key', '-out', 'node.csr');
  await writeFile(join(dir, 'node.ext'), `subjectAltName=${names}\n`);
  const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
  const request = ['-in', 'node.csr', '-extfile', 'node.ext', '-days', '2'];
  await openssl('x509', '-req', ...request, ...authority, '-out', 'node.crt');
  const [ca, cert, key] = await Promise.all(
    ['ca.crt', 'node.crt', 'node.key'].map((name) => readFile(join(dir, name), 'utf8')),
  );
  return { ca: ca ?? '', cert: cert ?? '', key: key ?? '' };
}
