import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { timesOf, type Times } from './load.js';

/** What the program is told, as JSON in its only argument. */
export interface OpenLoopPlan {
  port: number;
  path: string;
  /** A file of JSON bodies, one a line. */
  bodies: string;
  /** Requests a second. */
  rate: number;
  seconds: number;
  /** Given to every second request, milliseconds; null: to none. */
  deadlineMs: number | null;
  /** Opened before the load begins, as the pools of the services in front are. */
  connections: number;
}

/** What it prints, as JSON. Times in milliseconds from when the plan wanted a request sent, so that a late start counts. */
export interface OpenLoopResult {
  sent: number;
  /** Not sent, because all connections were taken. */
  unsent: number;
  broken: number;
  answers: { status: number; deadline: boolean; fallback: boolean; retryAfter: boolean; n: number; late: number; times: Times }[];
  /** When the last request was to be sent, milliseconds since 1970. */
  endedAt: number;
  /** CPU seconds of this program over the seconds of the load. */
  cores: number;
  /** How much later than planned requests were sent. */
  lag: Times;
}

const HEAD_END = '\r\n\r\n';
const NO_FALLBACK = '"fallback":null';
const PATIENCE_MS = 10_000;

interface Connection {
  socket: Socket;
  /** When the plan wanted the open request sent, and whether it has a deadline. */
  planned: number;
  hasDeadline: boolean;
  received: string;
}

/**
 * Sends at a fixed rate whatever the answers take, one request at a time on each of its connections.
 * Written on bare sockets: a generator that takes more of the machine than the server would measure itself.
 */
async function openLoop(plan: OpenLoopPlan): Promise<OpenLoopResult> {
  const { port, path, rate, deadlineMs } = plan;
  const lines = readFileSync(plan.bodies, 'utf8').trim().split('\n');
  const requestOf = (body: string): string =>
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}${HEAD_END}${body}`;
  const requests = lines.map((line, n) =>
    requestOf(deadlineMs !== null && n % 2 === 1 ? JSON.stringify({ ...(JSON.parse(line) as object), deadline_ms: deadlineMs }) : line),
  );

  const idle: Connection[] = [];
  const kinds = new Map<string, { status: number; deadline: boolean; fallback: boolean; retryAfter: boolean; late: number; times: number[] }>();
  let open = 0;
  let broken = 0;

  const count = ({ received, planned, hasDeadline }: Connection): void => {
    const elapsed = performance.now() - planned;
    const status = Number(received.slice(9, 12));
    const fallback = status === 200 && !received.includes(NO_FALLBACK);
    const retryAfter = received.includes('\r\nretry-after: ');
    const key = `${status} ${hasDeadline} ${fallback} ${retryAfter}`;
    let kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, (kind = { status, deadline: hasDeadline, fallback, retryAfter, late: 0, times: [] }));
    kind.times.push(elapsed);
    if (hasDeadline && elapsed > (deadlineMs ?? Infinity)) kind.late++;
  };
  const isWhole = (received: string): boolean => {
    const end = received.indexOf(HEAD_END);
    if (end < 0) return false;
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(received.slice(0, end + 2))?.[1]);
    return received.length >= end + HEAD_END.length + length;
  };
  const add = async (): Promise<void> => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const connection: Connection = { socket, planned: 0, hasDeadline: false, received: '' };
    idle.push(connection);
    socket.setNoDelay(true);
    socket.setEncoding('latin1'); // a character a byte
    socket.on('data', (text: string) => {
      connection.received += text;
      if (!isWhole(connection.received)) return;
      count(connection);
      open--;
      connection.received = '';
      idle.push(connection);
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => {
      const place = idle.indexOf(connection);
      if (place >= 0) idle.splice(place, 1);
      else {
        open--;
        broken++;
      }
    });
  };
  for (let n = 0; n < plan.connections; n++) await add();

  const total = Math.round(rate * plan.seconds);
  const lag: number[] = [];
  let sent = 0;
  let unsent = 0;
  const cpu = process.cpuUsage();
  const began = performance.now();
  const send = (n: number): void => {
    const connection = idle.pop();
    if (connection === undefined) {
      unsent++;
      return;
    }
    connection.planned = began + (n * 1000) / rate;
    connection.hasDeadline = deadlineMs !== null && (n % requests.length) % 2 === 1;
    lag.push(performance.now() - connection.planned);
    connection.socket.write(requests[n % requests.length] as string, 'latin1'); // n % length
    open++;
    sent++;
  };
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.ceil(((performance.now() - began) * rate) / 1000));
    while (n < due) send(n++);
    await pause(1);
  }
  const endedAt = Date.now();
  const { user, system } = process.cpuUsage(cpu);
  const cores = (user + system) / 1e3 / (performance.now() - began);
  const until = performance.now() + PATIENCE_MS;
  while (open > 0 && performance.now() < until) await pause(5);
  return {
    sent,
    unsent,
    broken: broken + open,
    answers: [...kinds.values()].map(({ times, ...kind }) => ({ ...kind, n: times.length, times: timesOf(times) })),
    endedAt,
    cores: Number(cores.toFixed(3)),
    lag: timesOf(lag),
  };
}

const result = await openLoop(JSON.parse(process.argv[2] ?? '{}') as OpenLoopPlan);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
