import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeOtherModel } from '../other-model.js';
import { call } from './call.js';
import { dumpOf } from './dump.js';
import { underServer, type KillCase } from './kill-cases.js';

const POLL_MS = 20;
const SWAP_MS = 60_000;

interface Listed {
  models: { fingerprint: string; active: boolean }[];
  swap: { state: string; error?: string | null } | null;
}

/** Another model than the bundled one. @returns its folder */
export async function writeModels(folder: string): Promise<string> {
  await writeOtherModel(folder, { version: 'other' });
  return folder;
}

/** Null: the server does not answer any more. */
const listed = async (url: string): Promise<Listed | null> => {
  const reply = await call(url, 'GET', '/v1/models');
  return reply.status === 200 ? (JSON.parse(reply.text) as Listed) : null;
};
const modelsOf = async (url: string): Promise<Listed['models'] | null> => (await listed(url))?.models ?? null;

/** Registers a model, activates it and waits until it serves. */
async function swap(url: string, model: string): Promise<void> {
  const added = await call(url, 'POST', '/v1/models', { folder: model });
  if (added.status === 0) return;
  const { fingerprint } = JSON.parse(added.text) as { fingerprint: string };
  if ((await modelsOf(url))?.find((known) => known.fingerprint === fingerprint)?.active === true) return; // the first run had got so far
  await call(url, 'POST', `/v1/models/${fingerprint}/activate`);
  const end = performance.now() + SWAP_MS;
  for (;;) {
    const now = await listed(url);
    if (now === null || now.models.find((known) => known.fingerprint === fingerprint)?.active === true) return;
    if (now.swap?.state === 'failed' || performance.now() > end) throw new Error(`the swap did not succeed: ${JSON.stringify(now.swap)}`);
    await sleep(POLL_MS);
  }
}

export function swapCase(data: string, model: string): KillCase {
  const environment = (folder: string, faults: Record<string, string>): Record<string, string> => ({
    REELFUSE_DATA_DIR: join(folder, 'data'),
    ...faults,
  });
  return {
    name: 'swap',
    setUp: (folder) => cpSync(data, join(folder, 'data'), { recursive: true }),
    run: (folder, faults) => underServer(folder, environment(folder, faults), ({ url }) => swap(url, model)),
    inspect: async (folder) => {
      const wrong: string[] = [];
      const copy = join(folder, 'copy');
      cpSync(join(folder, 'data'), copy, { recursive: true });
      const ended = await underServer(folder, { REELFUSE_DATA_DIR: copy }, async ({ url }) => {
        const active = (await modelsOf(url))?.filter((known) => known.active) ?? [];
        if (active.length !== 1) wrong.push(`${active.length} models are active`);
        const reply = await call(url, 'POST', '/v1/recommendations', { history: ['clip-0001'], k: 5 });
        if (reply.status !== 200 || (JSON.parse(reply.text) as { items: unknown[] }).items.length !== 5)
          wrong.push(`answers ${reply.status} ${reply.text.slice(0, 100)}`);
      });
      if (ended.code !== 0) wrong.push(`serve after the kill ended with ${ended.code}: ${ended.stderr.slice(0, 200)}`);
      return wrong;
    },
    state: (folder) => ({ ...dumpOf(join(folder, 'data')), vectors: 0 }), // those of the former model go in the background
  };
}
