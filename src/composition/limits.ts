import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** Bytes that this process may use: the limit of its container or service, or else the memory of the machine. */
export function memoryLimit(): number {
  const limit = process.constrainedMemory(); // of the cgroup; 0 or beyond the machine: none
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Processors that this process may use at once, 1 or more. Node counts those it may run on, but not the time that a container or
 * service is given (`docker run --cpus`, Kubernetes' limit, systemd's CPUQuota): 2 of 64 processors would get 63 recommenders, each with
 * its own graph.
 * @param cgroups where the control groups are mounted
 * @param membership lines of /proc/self/cgroup: the groups of this process
 */
export const processors = (cgroups = '/sys/fs/cgroup', membership = read('/proc/self/cgroup') ?? ''): number =>
  Math.max(1, Math.min(availableParallelism(), Math.ceil(quota(cgroups, membership))));

/** Processors' worth of time in each period; Infinity: no limit. */
function quota(cgroups: string, membership: string): number {
  const ownOf = (controllers: RegExp): string => controllers.exec(membership)?.[1] ?? '';
  // a container sees its own group as the root, also where its membership names a path of the host
  const second = [ownOf(/^0::(\/.+)$/m), ''].map((group) => read(`${cgroups}${group}/cpu.max`)?.split(' '));
  const first = [ownOf(/^\d+:(?:[\w,]+,)?cpu(?:,[\w,]+)?:(\/.+)$/m), ''].map((group) =>
    ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => read(`${cgroups}/cpu${group}/${name}`)),
  );
  const shares = [...second, ...first].map((found) => Number(found?.[0]) / Number(found?.[1])).filter((share) => share > 0); // version 2 says max for none, version 1 says -1
  return Math.min(Infinity, ...shares);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined; // not Linux, or the other version of control groups
  }
}
