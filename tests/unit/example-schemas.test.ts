// What those who read the examples demand of them, fields that they do not know included.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { documentsOf, readExample } from '../helpers/examples.ts';
import {
  composeValidator,
  faultsIn,
  faultsInWorkflow,
  kubernetesValidators,
} from '../helpers/manifest-schemas.ts';

/** Replaces a word that the text has. */
function changed(text: string, from: string, to: string): string {
  assert.ok(text.includes(from), from);
  return text.replace(from, to);
}

describe('The manifests for Kubernetes', () => {
  const validators = kubernetesValidators({
    Service: 'core/v1',
    PersistentVolumeClaim: 'core/v1',
    StatefulSet: 'apps/v1',
    PodDisruptionBudget: 'policy/v1',
    Job: 'batch/v1',
    CronJob: 'batch/v1',
  });
  const faults = (manifest: unknown): string[] => {
    const { kind } = manifest as { readonly kind: string };
    const validate = validators.get(kind);
    assert.ok(validate, `a validator of ${kind}`);
    return faultsIn(manifest, validate);
  };
  const folder = new URL('../../examples/kubernetes/', import.meta.url);

  for (const file of readdirSync(folder).filter((name) => name !== 'kustomization.yaml')) {
    test(`${file} is valid`, () => {
      const manifests = documentsOf(`kubernetes/${file}`);
      assert.ok(manifests.length > 0);
      for (const manifest of manifests) assert.deepEqual(faults(manifest), []);
    });
  }

  test('would not be valid with an unknown field, or a value of another type', () => {
    const text = readExample('kubernetes/ensure-job.yaml');
    for (const [from, to] of [
      ['restartPolicy', 'restartPolicies'],
      ['backoffLimit:', 'backoffLimits:'],
      ['containers:', 'containers: {}\n      volumes:'],
    ] as const)
      assert.notDeepEqual(faults(parse(changed(text, from, to))), [], to);
  });
});

test('The Compose file is valid, and would not be with an unknown field', () => {
  const validate = composeValidator();
  const text = readExample('docker-compose/compose.yaml');
  const faults = (given: string): string[] => faultsIn(parse(given, { merge: true }), validate);
  assert.deepEqual(faults(text), []);
  assert.notDeepEqual(faults(changed(text, 'image:', 'imag:')), []);
});

test('The workflow is valid, and would not be with an unknown field or event', () => {
  const text = readExample('github-actions/redis-cluster.yml');
  assert.deepEqual(faultsInWorkflow(text), []);
  for (const [from, to] of [
    ['runs-on:', 'run-on:'],
    ['[push]', '[pushed]'],
  ] as const)
    assert.notDeepEqual(faultsInWorkflow(changed(text, from, to)), [], to);
});
