import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** Bytes that this process may use: the limit of its container or service, or else the memory of the machine. */
export function memoryLimit(): number {
  const limit = process.constrainedMemory(); // of the cgroup; 0 or beyond the machine: none
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Processors that this process may use at once, 1 or more. Node counts those it may run on, but not the time that a container is given
 * (`docker run --cpus`, Kubernetes' limit): 2 of 64 processors would get 63 recommenders, each with its own graph.
 * @param cgroups where the control groups are mounted; in a container its own group is the root of them
 */
export const processors = (cgroups = '/sys/fs/cgroup'): number => Math.max(1, Math.min(availableParallelism(), Math.ceil(quota(cgroups))));

/** Processors' worth of time in each period; Infinity: no limit. */
function quota(cgroups: string): number {
  const [time, period] = read(`${cgroups}/cpu.max`)?.split(' ') ?? [
    read(`${cgroups}/cpu/cpu.cfs_quota_us`),
    read(`${cgroups}/cpu/cpu.cfs_period_us`),
  ];
  const share = Number(time) / Number(period);
  return share > 0 ? share : Infinity; // version 2 says max for none, version 1 says -1
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined; // not Linux, or the other version of control groups
  }
}
