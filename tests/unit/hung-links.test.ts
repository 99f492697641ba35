import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hungLinks } from '../../lib/move/hung-replicas.ts';
import type { Client } from '../../lib/nodes/client-list.ts';
import { type Line, reportOf } from '../helpers/views.ts';

const MASTER = 1;
const linkOf = (id: number, received: number | undefined): Client => ({
  ...{ id: `${id}`, from: `h:${id}`, host: 'h', name: '', ageSeconds: 100, command: 'replconf', received },
});
const replica = (node: number, flags: string, master = MASTER): Line => ({
  ...{ node, flags: `slave${flags}`, master },
});

/** Replicas, the bytes that came from each link before and now, and the links that are known to lead to one that hangs. */
interface Case {
  readonly name: string;
  readonly replicas: readonly Line[];
  readonly received: readonly (readonly [before: number | undefined, now: number | undefined])[];
  readonly hung: readonly string[];
}

const cases: readonly Case[] = [
  { name: 'of a failed replica', replicas: [replica(4, ',fail')], received: [[7, 7]], hung: ['0'] },
  { name: 'of one that still acknowledges', replicas: [replica(4, ',fail')], received: [[7, 8]], hung: [] },
  { name: 'of one that nobody holds for failed', replicas: [replica(4, '')], received: [[7, 7]], hung: [] },
  {
    name: 'of one that the master alone doubts',
    replicas: [replica(4, ',fail?')],
    received: [[7, 7]],
    hung: [],
  },
  {
    ...{ name: 'beside that of one that is well', replicas: [replica(4, ',fail'), replica(5, '')] },
    ...{
      received: [
        [7, 8],
        [7, 7],
      ],
      hung: ['1'],
    },
  },
  {
    ...{
      name: 'beside another silent one, of one that is well',
      replicas: [replica(4, ',fail'), replica(5, '')],
    },
    ...{
      received: [
        [7, 7],
        [7, 7],
      ],
      hung: [],
    },
  },
  {
    ...{ name: 'of two that hang', replicas: [replica(4, ',fail'), replica(5, ',fail')] },
    ...{
      received: [
        [7, 7],
        [9, 9],
      ],
      hung: ['0', '1'],
    },
  },
  { name: 'that is no longer there', replicas: [replica(4, ',fail')], received: [], hung: [] },
  { name: 'that is new', replicas: [replica(4, ',fail')], received: [[undefined, 7]], hung: [] },
  {
    ...{ name: 'of which the server does not say what came', replicas: [replica(4, ',fail')] },
    ...{ received: [[undefined, undefined]], hung: [] },
  },
  { name: "of another master's", replicas: [replica(4, ',fail', 2)], received: [[7, 7]], hung: [] },
];

for (const { name, replicas, received, hung } of cases) {
  test(`hungLinks() knows a silent link ${name}`, () => {
    const report = reportOf(MASTER, { lines: [{ node: MASTER }, { node: 2 }, ...replicas] });
    const [before, now] = [0, 1].map((look) => received.map((bytes, id) => linkOf(id, bytes[look])));
    assert.deepEqual(
      hungLinks(report, before ?? [], now ?? []).map(({ id }) => id),
      hung,
    );
  });
}
