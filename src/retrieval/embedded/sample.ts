import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EmbeddedItem } from './embedded-item.js';
import type { Slots } from './slots.js';

/** Slots read in one turn of the event loop. */
const SLICE = 4096;
/** Random tries before the slots are read one after another. */
const TRIES = 64;

/** The first wanted item of each of `count` ranges of slots, so that old and new items are represented. */
export async function sampleItems(slots: Slots, count: number, isWanted: (item: EmbeddedItem) => boolean): Promise<EmbeddedItem[]> {
  const drawn: EmbeddedItem[] = [];
  const total = slots.count;
  const stretches = Math.min(count, total);
  const startOf = (stretch: number): number => Math.floor((stretch * total) / stretches);
  let looked = 0;
  for (let stretch = 0; stretch < stretches; stretch++) {
    for (let slot = startOf(stretch); slot < startOf(stretch + 1); slot++) {
      if (++looked % SLICE === 0) await nextTurn();
      const item = slots.itemAt(slot);
      if (item === undefined || !isWanted(item)) continue;
      drawn.push(item);
      break;
    }
  }
  // an item may have lost its slot in an earlier turn
  return drawn.filter((item) => item.slot !== null && slots.itemAt(item.slot) === item);
}

/** Any item with a vector; undefined: there is none. */
export function randomItem(slots: Slots): EmbeddedItem | undefined {
  for (let tries = 0; tries < TRIES; tries++) {
    const item = slots.itemAt(Math.floor(Math.random() * slots.count));
    if (item !== undefined) return item;
  }
  for (let slot = 0; slot < slots.count; slot++) {
    const item = slots.itemAt(slot);
    if (item !== undefined) return item;
  }
  return undefined;
}
