import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../src/errors.js';
import { openFaults, type Faults } from './faults.js';
import { killCases, prepareFiles, underServer, type KillCase } from './kill-cases.js';
import { pythonCases } from './kill-python.js';
import { openLedger } from './ledger.js';
import { disorderOf, runProgram, startReady, type Ended } from './program.js';
import { swapCase, writeModels } from './kill-swap.js';
import type { Round, Trial } from './trial.js';

/**
 * SIGKILL at every call that changes files, of every command; then the same command again. With fewer rounds than calls, the rounds
 * are spread over the calls. `--only` names commands; those of the Python package run where BREAK_PYTHON names an interpreter.
 */
export async function kills(trial: Trial): Promise<void> {
  const files = prepareFiles(join(trial.folder, 'files'));
  const data = join(trial.folder, 'whole');
  const backup = join(trial.folder, 'backup');
  const models = await writeModels(join(trial.folder, 'models'));
  const prepared = { REELFUSE_DATA_DIR: data };
  await mustEnd(
    underServer(trial.folder, prepared, async (server) => void (await openLedger('before').write(server.url, trial.random(trial.seed), 60))),
  );
  await mustEnd(runProgram(['backup', '--quiet', '--to', backup], prepared));
  const serving = await startReady(trial.folder, { REELFUSE_DATA_DIR: join(trial.folder, 'serving') });
  trial.after(async () => void (await serving.end('SIGTERM')));

  const under = join(trial.folder, 'round');
  const faults = openFaults(trial.folder, under);
  const all = [...killCases(files, data, backup, () => serving.url), swapCase(data, models), ...pythonCases(files)];
  const cases = all.filter(({ name }) => trial.only?.includes(name) ?? true);
  const missing = trial.only?.filter((name) => all.every((kind) => kind.name !== name)) ?? [];
  if (missing.length > 0) throw new Error(`not possible here, or no command: ${missing.join(', ')}`);
  const sums = new Map<string, { calls: number; kills: number; wrong: number; whole: unknown; code: number | null }>();
  for (const kind of cases) {
    fresh(under, kind);
    faults.plan({});
    const { code, stderr } = await kind.run(under, faults.environment, trial.random(trial.seed));
    if (code !== 0 && code !== 1) throw new Error(`${kind.name}, undisturbed, ended with ${code}: ${stderr}`);
    const calls = faults.calls();
    if (calls === 0) throw new Error(`${kind.name}: the library of faults has seen no call`);
    sums.set(kind.name, { calls, kills: 0, wrong: 0, whole: await kind.state(under), code });
  }
  for (const round of trial.rounds(trial.isShort ? 2 : 30)) {
    for (const kind of cases) {
      if (trial.isOver()) break;
      const sum = sums.get(kind.name);
      if (sum === undefined) continue;
      // the golden ratio spreads any number of rounds evenly over the calls
      const at = 1 + Math.floor(((round.seed * 0.618034) % 1) * sum.calls);
      const wrong = await killOnce(trial, round, kind, faults, under, at, sum);
      sum.kills++;
      sum.wrong += wrong.length;
      for (const text of wrong) trial.wrong(round, `${kind.name}, killed at call ${at} of ${sum.calls}: ${text}`);
    }
  }
  for (const [name, { calls, kills: done, wrong }] of sums) trial.row({ command: name, 'calls that change files': calls, kills: done, wrong });
}

async function mustEnd(ended: ReturnType<typeof runProgram>): Promise<void> {
  const { code, stderr } = await ended;
  if (code !== 0) throw new Error(`a preparation ended with ${code}: ${stderr}`);
}

function fresh(under: string, kind: KillCase): void {
  rmSync(under, { recursive: true, force: true });
  mkdirSync(under);
  kind.setUp(under);
}

async function killOnce(
  trial: Trial,
  { seed, random }: Round,
  kind: KillCase,
  faults: Faults,
  under: string,
  at: number,
  { whole, code: expected }: { whole: unknown; code: number | null },
): Promise<string[]> {
  fresh(under, kind);
  const lose = random.chance(0.3) ? 1 : 0;
  faults.plan({ kill_at: at, torn: random.chance(0.5) ? 1 : 0, lose, seed });
  let first: Ended;
  try {
    first = await kind.run(under, faults.environment, random);
  } catch (error) {
    return [`the first run: ${messageOf(error)}`];
  } finally {
    faults.plan({});
  }
  if (first.signal === 'SIGKILL' && !first.hung) trial.count('kills');
  else if (first.hung) return ['the first run hung'];
  try {
    const wrong = (await kind.inspect?.(under, whole)) ?? [];
    const again = await kind.run(under, {}, random);
    const isRefused = kind.mayRefuse === true && again.code === 2 && again.stderr.includes('is not empty');
    if (!isRefused && again.code !== expected)
      return [...wrong, `the second run ended with ${again.code ?? again.signal}: ${again.stderr.slice(0, 300)}`];
    const disorder = disorderOf(again);
    if (disorder !== null) wrong.push(`the second run ${disorder}`);
    const state = await kind.state(under);
    if (!isDeepStrictEqual(state, whole)) wrong.push(`is not as undisturbed: ${difference(state, whole)}`);
    return wrong;
  } catch (error) {
    return [messageOf(error)];
  }
}

/** The first difference, shortened. */
function difference(found: unknown, wanted: unknown): string {
  if (typeof found === 'object' && typeof wanted === 'object' && found !== null && wanted !== null)
    for (const key of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
      const [a, b] = [(found as Record<string, unknown>)[key], (wanted as Record<string, unknown>)[key]];
      if (!isDeepStrictEqual(a, b)) return `${key}: ${difference(a, b)}`;
    }
  return `${JSON.stringify(found)?.slice(0, 150)} instead of ${JSON.stringify(wanted)?.slice(0, 150)}`;
}
