import { bodyOf, type Api } from '../api.js';
import { clip, demoStates } from '../build.js';

/** A catalogue whose attributes follow from the numbers of its clips, so that a test can tell what a filter or a cap must do. */
export const CLIPS = 120;
export const topicOf = (n: number): string => ['cooking', 'travel', 'sport', 'music'][n % 4] ?? '';
export const numberOf = (id: string): number => Number(id.replace('clip-', ''));
/** A history of three clips of that catalogue. */
export const HISTORY = [clip(101), clip(105), clip(110)];

export async function putTopics({ api }: { api: Api }): Promise<void> {
  const items = Array.from({ length: CLIPS }, (_, index) => {
    const n = index + 1;
    return {
      item_id: clip(n),
      author_id: `author-${n % 10}`,
      attributes: {
        topic: topicOf(n),
        duration_s: n,
        live: n % 2 === 0,
        tags: [`tag-${n % 3}`, `tag-${n % 5}`],
        published: `2026-10-${String((n % 28) + 1).padStart(2, '0')}T00:00:00Z`,
        ...(n <= 5 && { rare: 'yes' }),
      },
      hidden_states: demoStates(clip(n)),
    };
  });
  await bodyOf(api.putItems(items));
}
