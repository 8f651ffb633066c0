import { createHash } from 'node:crypto';
import type { Experiment } from './request.js';

/** The same subject is always in the same arm of an experiment; arms get users in proportion to their weights. */
export function assignArm({ name, arms }: Experiment, subject: string): { name: string; arm: string } {
  const total = arms.reduce((sum, { weight }) => sum + weight, 0);
  const digest = createHash('sha256').update(`${name}\n${subject}`).digest();
  let left = (digest.readUIntBE(0, 6) / 2 ** 48) * total;
  for (const { name: arm, weight } of arms) {
    left -= weight;
    if (left < 0) return { name, arm };
  }
  return { name, arm: arms.at(-1)?.name ?? '' };
}
