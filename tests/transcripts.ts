// Writes docs/redis-cli-transcripts.md: what both tools print on equal clusters. Run with: npm run docs:transcripts
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { openBed } from './bed/index.ts';
import { type Compared, runScenario, toolFor } from './helpers/compat-scenario.ts';

const SHOWN = ['create', 'check', 'add-node', 'reshard', 'rebalance', 'del-node', 'fix'];

const bed = await openBed();
try {
  const tool = toolFor(bed);
  if (!tool) throw new Error(`No command line tool of ${bed.server.name} is installed`);
  const compared = await runScenario(bed, tool);
  const text = [
    '# redis-trib and the tool of the server, side by side',
    '',
    `Written by \`npm run docs:transcripts\` with ${bed.server.kind}-cli ${bed.server.version}, each on a cluster of its own. Ports and ids are masked.`,
    '',
    ...compared.filter(({ step }) => SHOWN.includes(step.title)).flatMap(section),
  ].join('\n');
  writeFileSync(new URL('../docs/redis-cli-transcripts.md', import.meta.url), text);
  process.stdout.write('Wrote docs/redis-cli-transcripts.md\n');
} finally {
  await bed.close();
}

function section({ step, args, ours, theirs }: Compared): string[] {
  const block = (command: string, { code, stdout, stderr }: Compared['ours']): string[] => [
    '```',
    `$ ${command} --cluster ${args}`,
    ...`${stdout}${stderr}`
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd()),
    `(exit code ${code})`,
    '```',
    '',
  ];
  const theirName = `${bed.server.kind}-cli`;
  return [`## ${step.title}`, '', ...block('redis-trib', ours), ...block(theirName, theirs)];
}
