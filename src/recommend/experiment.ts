import { createHash } from 'node:crypto';
import type { Experiment } from './request.js';

/** Assigns an arm by a hash of experiment and subject: always the same one for a subject, in proportion to the weights of the arms. */
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
