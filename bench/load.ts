import { readFileSync } from 'node:fs';
import type { Answer, Server } from '../test/server-process.js';

/** Sends requests at a fixed rate while `goesOn`, whatever the answers take. @returns milliseconds of each */
export async function atRate(rate: number, goesOn: () => boolean, request: (n: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  const open = new Set<Promise<void>>();
  const began = performance.now();
  for (let n = 0; goesOn(); n++) {
    while (performance.now() - began < (n * 1000) / rate) await new Promise((resolve) => setTimeout(resolve, 1));
    const sent = performance.now();
    const one = request(n)
      .then(() => void times.push(performance.now() - sent))
      .finally(() => open.delete(one));
    open.add(one);
  }
  await Promise.all(open);
  return times;
}

const statusMib = (pid: number, field: string): number =>
  Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);

/** Milliseconds. */
export interface Times {
  p50: number;
  p99: number;
  max: number;
}

export function timesOf(values: readonly number[]): Times {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(2));
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Resident set of a process, MiB. */
export const residentMib = (pid: number): number => statusMib(pid, 'VmRSS');

/** The part of the resident set that is the process's own: without pages of files, which the system takes back when it needs them. */
export const ownMib = (pid: number): number => statusMib(pid, 'RssAnon');

const idsOf = (body: Answer['body']): string[] => (body.items as unknown as { item_id: string }[]).map(({ item_id: id }) => id);

/** Recall@20 of HNSW against exact search through the API: mean over histories of one item each. */
export async function recallOverHttp(server: Server, items: readonly string[]): Promise<number> {
  let sum = 0;
  for (const itemId of items) {
    const ask = (exact: boolean) => server.call('POST', '/v1/recommendations', { history: [itemId], k: 20, exact });
    const truth = idsOf((await ask(true)).body);
    const found = new Set(idsOf((await ask(false)).body));
    sum += truth.filter((id) => found.has(id)).length / Math.max(truth.length, 1);
  }
  return Math.round((sum / Math.max(items.length, 1)) * 10_000) / 10_000;
}

/** As Markdown. */
export const table = (heading: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string =>
  [`| ${heading.join(' | ')} |`, `|${'---|'.repeat(heading.length)}`, ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');
