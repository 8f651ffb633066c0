import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';

/** Something that can be opened, closed and opened again; what was acknowledged outlives that. */
export interface Closable {
  close(): Promise<void>;
}

export interface Engine<Opened extends Closable> {
  name: string;
  /** A place for the data of one test. @returns what opens it, again after it was closed */
  create(t: TestContext): Opening<Opened> | Promise<Opening<Opened>>;
}

export type Opening<Opened> = () => Opened | Promise<Opened>;

/** The opened engine, and how to open it anew; whatever is open when the test ends is closed. */
export type Body<Opened> = (opened: Opened, reopen: () => Promise<Opened>) => Promise<void>;
export type Behaves<Opened> = (title: string, body: Body<Opened>) => void;

/** The engine as it is, and as it is after a restart. */
export async function* beforeAndAfter<Opened>(opened: Opened, reopen: () => Promise<Opened>): AsyncGenerator<Opened> {
  yield opened;
  yield await reopen();
}

/** A member that the contract gets is missing here until it is added, and then fails until a test calls it. */
export type Members<Contract> = Record<keyof Contract, true>;

interface Suite<Opened extends Closable, Contract extends object> {
  contract: string;
  members: Members<Contract>;
  partOf: (opened: Opened) => Contract;
  /** The same engine, with this in place of the part. */
  withPart: (opened: Opened, part: Contract) => Opened;
  tests: (behaves: Behaves<Opened>) => void;
}

/** What every engine has to keep to. The last test fails when a member of the contract was called by no other. */
export function conformance<Opened extends Closable, Contract extends object>(
  engine: Engine<Opened>,
  { contract, members, partOf, withPart, tests }: Suite<Opened, Contract>,
): void {
  describe(`${engine.name}: ${contract}`, () => {
    const called = new Set<string>();
    const offered = new Set<string>();
    tests((title, body) => {
      test(title, async (t) => {
        const open = await engine.create(t);
        const openRecorded = async (): Promise<Opened> => {
          current = await open();
          for (const key of Object.keys(partOf(current))) offered.add(key);
          return withPart(current, recorded(partOf(current), called));
        };
        let current: Opened | null = null;
        const close = async (): Promise<void> => {
          await current?.close();
          current = null;
        };
        try {
          await body(await openRecorded(), async () => {
            await close();
            return openRecorded();
          });
        } finally {
          await close();
        }
      });
    });
    test('every member of the contract is called by a test, and the engine has no other', () => {
      const wanted = Object.keys(members).sort();
      assert.deepEqual([...offered].sort(), wanted);
      assert.deepEqual([...called].sort(), wanted);
    });
  });
}

/** Notes which members are called or, where they are no functions, read. */
export function recorded<Contract extends object>(contract: Contract, called: Set<string>): Contract {
  return new Proxy(contract, {
    get: (target, key) => {
      const member: unknown = Reflect.get(target, key);
      if (typeof member !== 'function') {
        if (Reflect.has(target, key)) called.add(String(key)); // `await` looks for `then`
        return member;
      }
      return (...values: unknown[]): unknown => {
        called.add(String(key));
        return Reflect.apply(member, target, values);
      };
    },
  });
}
