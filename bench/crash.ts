import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCrashTrial } from '../test/crash.js';
import { randomStates, startServer } from '../test/server-process.js';

/**
 * kill -9 at random moments under load: --rounds 50. Every fifth round the log also gets a torn tail, another fifth a torn
 * snapshot; at the end the log's real tail is cut off, and a small full disk is tried where tmpfs can be mounted. The process
 * ends with 1 when anything was not as it must be.
 */
export async function crash(options: ReadonlyMap<string, number>): Promise<unknown> {
  const rounds = options.get('rounds') ?? 50;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-crash-'));
  try {
    const trial = await openCrashTrial(join(folder, 'data'));
    const cuts: unknown[] = [];
    try {
      for (let round = 0; round < rounds; round++) {
        const damage = round % 5 === 4 ? 'torn log' : round % 5 === 2 ? 'torn snapshot' : 'none';
        await trial.round(20 + Math.floor(Math.random() * 500), damage);
        if (round % 10 === 9) cuts.push(await trial.cutLog(20 + Math.floor(Math.random() * 300)));
        process.stderr.write(`\rround ${round + 1} of ${rounds}, ${trial.figures.events} events, ${trial.wrong.length} wrong`);
      }
      process.stderr.write('\n');
    } finally {
      await trial.close();
    }
    const full = await fullDisk(folder);
    const wrong = [...trial.wrong, ...full.wrong];
    if (wrong.length > 0) process.exitCode = 1;
    return { ...trial.figures, log_cut_off: cuts, full_disk: full.told, wrong };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fullDisk(folder: string): Promise<{ told: string; wrong: string[] }> {
  const mount = join(folder, 'small');
  mkdirSync(mount);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount]).status !== 0)
    return { told: 'not tried: tmpfs cannot be mounted here', wrong: [] };
  const wrong: string[] = [];
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (found !== wanted) wrong.push(`full disk: ${what} ${String(found)}, expected ${String(wanted)}`);
  };
  try {
    const dataDir = join(mount, 'data');
    const server = await startServer(dataDir);
    let refused: string | null = null;
    let kept = 0;
    for (let n = 0; n < 5000 && refused === null; n++) {
      const { status, body } = await server.call('PUT', `/v1/items/full-${n}`, { title: 'x', hidden_states: randomStates() });
      if (status === 201) kept++;
      else refused = `${status} ${String(body.code)}`;
    }
    expect('a write was answered', refused, '507 storage_full');
    const { status: read } = await server.call('GET', '/v1/users/cooking-fan/recommendations');
    expect('a read was answered', read, 200);
    await server.end('SIGKILL');
    let restart: string;
    try {
      const again = await startServer(dataDir);
      restart = 'came back';
      await again.end('SIGTERM');
    } catch (error) {
      restart = `said ${String(error).slice(0, 160)}`;
    }
    spawnSync('mount', ['-o', 'remount,size=200m', mount]);
    const after = await startServer(dataDir);
    for (let n = 0; n < kept; n++) expect(`item ${n}`, (await after.call('GET', `/v1/items/full-${n}`)).status, 200);
    const write = await after.call('PUT', '/v1/items/later', { title: 'x' });
    expect('a later write was answered', write.status, 201);
    await after.end('SIGTERM');
    const told = `after ${kept} items: ${refused}, reads ${read}; restart on the full disk ${restart}; with space again: write ${write.status}`;
    return { told, wrong };
  } finally {
    spawnSync('umount', [mount]);
  }
}
