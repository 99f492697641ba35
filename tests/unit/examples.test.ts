import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { documentsOf, readExample, valuesOf, type Yaml } from '../helpers/examples.ts';

type Fields = Readonly<Record<string, Yaml>>;
const folder = new URL('../../examples/', import.meta.url);

/** A field of a field and so on. */
function at(value: Yaml | undefined, ...path: readonly string[]): Yaml | undefined {
  return path.reduce<Yaml | undefined>((inner, name) => (inner as Fields | undefined)?.[name], value);
}

describe('The examples for Kubernetes', () => {
  const [kustomization = {}] = documentsOf('kubernetes/kustomization.yaml');
  const resources = at(kustomization, 'resources') as string[];
  const objects = resources.flatMap((file) => documentsOf(`kubernetes/${file}`));
  const ofKind = (kind: string): Yaml[] => objects.filter((one) => at(one, 'kind') === kind);
  const namesOf = (kind: string): (Yaml | undefined)[] =>
    ofKind(kind).map((one) => at(one, 'metadata', 'name'));

  test('are all in the kustomization', () => {
    const files = readdirSync(new URL('kubernetes/', folder)).filter((name) => name !== 'kustomization.yaml');
    assert.deepEqual(resources.toSorted(), files.sort());
  });

  test('are of versions that are served', () => {
    const versions: Readonly<Record<string, string>> = {
      Service: 'v1',
      PersistentVolumeClaim: 'v1',
      StatefulSet: 'apps/v1',
      PodDisruptionBudget: 'policy/v1',
      Job: 'batch/v1',
      CronJob: 'batch/v1',
    };
    for (const one of objects) assert.equal(at(one, 'apiVersion'), versions[String(at(one, 'kind'))]);
  });

  test('name only what there is', () => {
    const [pods] = ofKind('StatefulSet').map((one) => at(one, 'spec', 'template'));
    assert.ok(pods !== undefined);
    const labels = at(pods, 'metadata', 'labels');
    for (const one of [...valuesOf(objects, 'selector'), ...valuesOf(objects, 'labelSelector')])
      assert.deepEqual(at(one, 'matchLabels') ?? one, labels);
    const [serviceName] = valuesOf(objects, 'serviceName');
    assert.ok(namesOf('Service').includes(serviceName));
    const secrets = valuesOf(kustomization, 'secretGenerator')
      .flat()
      .map((one) => at(one as Yaml, 'name'));
    for (const ref of valuesOf(objects, 'secretKeyRef')) assert.ok(secrets.includes(at(ref, 'name')));
    for (const claim of valuesOf(objects, 'claimName'))
      assert.ok(namesOf('PersistentVolumeClaim').includes(claim));
    for (const one of objects) {
      const declared = [
        ...valuesOf(one, 'volumes')
          .flat()
          .map((volume) => at(volume as Yaml, 'name')),
        ...valuesOf(one, 'volumeClaimTemplates')
          .flat()
          .map((claim) => at(claim as Yaml, 'metadata', 'name')),
      ];
      for (const mount of valuesOf(one, 'volumeMounts').flat())
        assert.ok(declared.includes(at(mount as Yaml, 'name')));
    }
  });

  test('give hooks time, and let a pod be found before it is ready', () => {
    const [set = {}] = ofKind('StatefulSet');
    const [hook] = valuesOf(set, 'preStop').map((one) => at(one, 'exec', 'command') as string[]);
    const within = Number(hook?.[hook.indexOf('--within') + 1]);
    assert.ok(
      within > 0 && within + 10_000 < 1000 * Number(valuesOf(set, 'terminationGracePeriodSeconds')[0]),
    );
    assert.equal(at(set, 'spec', 'podManagementPolicy'), 'Parallel');
    const headless = ofKind('Service').find(
      (one) => at(one, 'metadata', 'name') === at(set, 'spec', 'serviceName'),
    );
    assert.deepEqual(
      ['clusterIP', 'publishNotReadyAddresses'].map((field) => at(headless, 'spec', field)),
      ['None', true],
    );
  });
});

test('The examples are all listed in their README', () => {
  const readme = readExample('README.md');
  for (const name of readdirSync(folder).filter((one) => one !== 'README.md'))
    assert.ok(readme.includes(`(${name})`), name);
});
