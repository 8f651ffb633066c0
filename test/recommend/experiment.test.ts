import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignArm } from '../../src/recommend/experiment.js';

const subjects = Array.from({ length: 10_000 }, (_, n) => `user-${n}`);
const armsOf = (name: string, ...weights: number[]): string[] => {
  const arms = weights.map((weight, n) => ({ name: `arm-${n}`, weight }));
  return subjects.map((subject) => assignArm({ name, arms }, subject).arm);
};

test('a subject stays in its arm, and another experiment deals anew', () => {
  assert.deepEqual(armsOf('first', 1, 1), armsOf('first', 1, 1));
  const [first, second] = [armsOf('first', 1, 1), armsOf('second', 1, 1)];
  const same = first.filter((arm, n) => arm === second[n]).length;
  assert.ok(same > 4500 && same < 5500, String(same));
});

test('arms get subjects in proportion to their weights, none without a weight', () => {
  const counts = new Map<string, number>();
  for (const arm of armsOf('test', 1, 0, 3)) counts.set(arm, (counts.get(arm) ?? 0) + 1);
  assert.deepEqual([...counts.keys()].sort(), ['arm-0', 'arm-2']);
  assert.ok(Math.abs((counts.get('arm-0') ?? 0) - 2500) < 200);
});

test('a single arm is the arm, whoever asks', () => {
  assert.deepEqual(assignArm({ name: 'given', arms: [{ name: 'only', weight: 1 }] }, 'anybody'), { name: 'given', arm: 'only' });
  assert.equal(assignArm({ name: 'given', arms: [{ name: 'only', weight: 0 }] }, 'anybody').arm, 'only');
});
