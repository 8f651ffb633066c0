/**
 * @import * as Wire from './wire-types.js'
 * @import {Choice} from './request-bar.js'
 */
import { listUsers, randomId, readModels, recommend, sendEvent } from './api.js';
import { FIELDS, fetchHistory, fetchItems, knownItem, rememberItem } from './catalogue.js';
import { showCurl } from './curl.js';
import { showExplanation } from './explanation.js';
import { announce, announceChange, appendPage, clearPlaceholders, focusFeed, listenToFeed, markBusy, markExplained, markSending, showFeed, showPlaceholders } from './feed.js';
import { formatMs } from './format.js';
import { showClips, showHistory } from './history-strip.js';
import { listenToItemDesk, manageItem } from './item-desk.js';
import { listenToMap, showOnMap } from './item-map.js';
import { showLive, showCompared } from './live-latency.js';
import { listenToModelDesk, showModels } from './model-desk.js';
import { clearProblem, listenForKey, showProblem } from './problems.js';
import { compareRanks } from './rank-moves.js';
import { choiceOfAddress, focusUser, listenForChoices, newUserId, putInAddress, showChoice, showUsers } from './request-bar.js';
import { followReadiness, showModelFacts } from './server-status.js';
import { listenForShortcuts } from './shortcuts.js';
import { focusPanelIfNarrow, isTabShown, showTab, whenTabShown } from './tabs.js';
import { switchTheme } from './theme-toggle.js';
import { showTimings } from './timings.js';

/** @typedef {{did: string, how: string, itemId: string | null}} Change what the next answer should already reflect */

const QUICK_USERS = 50;
/** After a reaction as many clips are asked for as are shown, so that ranks can be compared; but no more than this. */
const MOST_COMPARED = 100;
/** As many examples as a request may move away from. */
const MOST_DISLIKED = 50;

/** @type {Choice} */
let choice = choiceOfAddress();
/** Every page that is shown as one list, newest answer's fields; null until there is one. @type {Wire.RecommendationAnswer | null} */
let shown = null;
/** What it was asked with. @type {Wire.RecommendationRequest} */
let asked = { k: choice.k, fields: FIELDS };
/** Newest first. @type {string[]} */
let history = [];
/** The clip under Why. @type {{recommendation: Wire.Recommendation, rank: number} | null} */
let explained = null;
/** @type {Wire.Model | undefined} */
let model;
/** Counts refreshes, so that a slow answer never overwrites a newer one. */
let latest = 0;
let paging = false;
/** Items with an event under way: a double click is one event. @type {Set<string>} */
const sending = new Set();
/** Which answer each shown clip came with: a session has one for each page. @type {Map<string, string>} */
const answeredBy = new Map();

/** @type {Record<Wire.EventType, string>} */
const DONE = { view: 'Watched', like: 'Liked', skip: 'Skipped' };

/**
 * @param {number} k
 * @returns {Wire.RecommendationRequest}
 */
function requestFor(k) {
  const { clips } = choice;
  return {
    ...(clips === null ? { user_id: choice.userId } : { history: clips.history }),
    ...(clips?.disliked.length ? { disliked: clips.disliked, exclude: clips.disliked } : {}),
    k,
    fields: FIELDS,
    explain: true,
    ...(choice.exact ? { exact: true } : {}),
  };
}

/** Asks again and shows what changed. @param {Change} [after] */
async function refresh(after) {
  latest += 1;
  const mine = latest;
  const request = requestFor(after && shown ? Math.min(Math.max(choice.k, shown.items.length), MOST_COMPARED) : choice.k);
  showCurl(request);
  if (shown) markBusy(true);
  else showPlaceholders(choice.k);
  try {
    // The history is asked for afterwards: a second call under way would blur the round trip that is measured.
    const { answer, roundTripMs } = await recommend(request);
    if (mine !== latest) return;
    for (const { item_id: id, item } of answer.items) rememberItem(id, item);
    clearProblem();
    const ranks = shown && after ? compareRanks(idsOf(shown).slice(0, request.k), idsOf(answer), after.itemId) : null;
    shown = answer;
    answeredBy.clear();
    noteAnswer(answer);
    asked = request;
    showFeed(answer, request, roundTripMs, ranks);
    showTimings(answer.timings_ms, roundTripMs);
    showLive(answer.timings_ms['total'] ?? 0);
    showCompared('');
    if (after) announceChange(after.did, after.how, ranks);
    else announce('');
    await readHistory(after?.itemId ?? null, mine);
    if (mine !== latest) return;
    explainAgain();
    showOnMap({ answer: idsOf(answer), history, fingerprint: answer.model.fingerprint });
    if (model && model.fingerprint !== answer.model.fingerprint) void loadModels().catch(showProblem);
  } catch (problem) {
    if (mine !== latest) return;
    clearPlaceholders();
    markBusy(false);
    showProblem(problem);
  }
}

/**
 * @param {string | null} justAdded
 * @param {number} mine
 */
async function readHistory(justAdded, mine) {
  const { clips } = choice;
  if (clips === null) {
    const entries = await fetchHistory(choice.userId);
    if (mine !== latest) return;
    history = entries.map((entry) => entry.item_id);
    showHistory(entries, justAdded);
    return;
  }
  await fetchItems([...clips.history, ...clips.disliked]);
  if (mine !== latest) return;
  history = [...clips.history].reverse();
  showClips(clips, justAdded, removeClip);
}

/** @param {Wire.RecommendationAnswer} answer */
function noteAnswer({ recommendation_id: id, items }) {
  for (const { item_id: itemId } of items) answeredBy.set(itemId, id);
}

/** The next page of the same session. */
async function more() {
  const before = shown;
  if (paging || !before?.next_cursor) return;
  paging = true;
  markBusy(true);
  try {
    const { answer } = await recommend({ ...asked, k: choice.k, cursor: before.next_cursor });
    if (shown !== before) return; // another answer has come meanwhile, which this page does not belong to
    for (const { item_id: id, item } of answer.items) rememberItem(id, item);
    noteAnswer(answer);
    shown = { ...before, items: [...before.items, ...answer.items], next_cursor: answer.next_cursor };
    appendPage(answer);
    showOnMap({ answer: idsOf(shown), history, fingerprint: answer.model.fingerprint });
  } catch (problem) {
    markBusy(false);
    showProblem(problem);
  } finally {
    paging = false;
  }
}

/** @param {Wire.RecommendationAnswer} answer */
function idsOf(answer) {
  return answer.items.map((recommendation) => recommendation.item_id);
}

/**
 * @param {Wire.Recommendation} recommendation
 * @param {number} rank
 */
function explain(recommendation, rank) {
  explained = { recommendation, rank };
  markExplained(recommendation.item_id);
  showOnMap({ selected: recommendation.item_id });
  if (!isTabShown('why')) return;
  void showExplanation(recommendation, rank, {
    request: asked,
    layerNames: model?.layer_names ?? [],
    layerWeights: model?.layer_weights ?? [],
    on: { tryIt, manage },
  });
}

/** The same clip in the new answer, else its first one. */
function explainAgain() {
  const items = shown?.items ?? [];
  const at = Math.max(0, items.findIndex((one) => one.item_id === explained?.recommendation.item_id));
  const recommendation = items[at];
  if (recommendation) explain(recommendation, at + 1);
}

/**
 * @param {Wire.Recommendation} recommendation
 * @param {Wire.EventType} type
 */
async function act(recommendation, type) {
  const { item_id: itemId } = recommendation;
  const did = `${DONE[type]} “${recommendation.item?.title ?? itemId}”`;
  if (choice.clips !== null) {
    const { history: past, disliked } = choice.clips;
    const clips = type === 'skip' ? { history: past, disliked: [...disliked, itemId].slice(-MOST_DISLIKED) } : { history: [...past, itemId], disliked };
    change({ ...choice, clips }, { did, how: 'in this page only', itemId });
    return;
  }
  if (sending.has(itemId)) return;
  sending.add(itemId);
  markSending(itemId, true);
  const { userId } = choice;
  const durationMs = Math.round((recommendation.item?.attributes?.duration_s ?? 15) * 1000);
  try {
    const { roundTripMs } = await sendEvent({
      event_id: randomId(),
      user_id: userId,
      item_id: itemId,
      type,
      at: new Date().toISOString(),
      ...(type === 'view' ? { watch_ms: durationMs, duration_ms: durationMs } : {}),
      ...(answeredBy.has(itemId) ? { recommendation_id: answeredBy.get(itemId) } : {}),
    });
    if (choice.clips === null && choice.userId === userId) await refresh({ did, how: `on disk after ${formatMs(roundTripMs)}`, itemId });
  } catch (problem) {
    showProblem(problem);
  } finally {
    sending.delete(itemId);
    markSending(itemId, false);
  }
}

/** Puts a clip into a history that is made up here; begins one when there is none. @param {string} itemId */
function tryIt(itemId) {
  const { history: past, disliked } = choice.clips ?? { history: [], disliked: [] };
  const clips = { history: [...past.filter((id) => id !== itemId), itemId], disliked: disliked.filter((id) => id !== itemId) };
  change({ ...choice, clips }, { did: `Added “${knownItem(itemId).title ?? itemId}”`, how: 'in this page only', itemId });
}

/** @param {string} itemId `*`: all of them */
function removeClip(itemId) {
  if (choice.clips === null) return;
  const keep = (/** @type {string} */ id) => itemId !== '*' && id !== itemId;
  const clips = { history: choice.clips.history.filter(keep), disliked: choice.clips.disliked.filter(keep) };
  const did = itemId === '*' ? 'Cleared the history' : `Removed “${knownItem(itemId).title ?? itemId}”`;
  change({ ...choice, clips }, { did, how: 'in this page only', itemId: null });
}

/** @param {string} itemId */
function manage(itemId) {
  showTab('clips');
  focusPanelIfNarrow('clips');
  void manageItem(itemId);
}

/**
 * @param {Choice} next
 * @param {Change} [after]
 */
function change(next, after) {
  const isSame = next.userId === choice.userId && (next.clips === null) === (choice.clips === null);
  if (!isSame) shown = null;
  choice = next;
  putInAddress(choice, 'push');
  showChoice(choice);
  void refresh(after);
}

async function loadModels() {
  const { models, swap } = await readModels();
  const isFirst = model === undefined;
  model = models.find((one) => one.active);
  showModelFacts(model);
  showModels(models, swap);
  if (isFirst && explained) explain(explained.recommendation, explained.rank); // its layers have names now
}

/** Everything that depends on the server being up and the key being right. */
async function load() {
  // The feed of a user who is known already need not wait for the list of users.
  const first = choice.userId || choice.clips ? refresh() : null;
  try {
    const [users] = await Promise.all([listUsers('', QUICK_USERS), loadModels()]);
    if (first === null) {
      choice = { ...choice, userId: users[0]?.user_id ?? newUserId() };
      putInAddress(choice, 'replace');
    }
    showUsers(users, choice);
    showChoice(choice);
  } catch (problem) {
    clearPlaceholders();
    showProblem(problem);
    return;
  }
  await (first ?? refresh());
}

showChoice(choice);
showPlaceholders(choice.k);
listenForChoices(() => choice, (next) => change(next));
listenForKey(() => void load());
listenToFeed({
  open: (recommendation, rank) => {
    showTab('why');
    explain(recommendation, rank);
    focusPanelIfNarrow('why');
  },
  arrive: (recommendation, rank) => explain(recommendation, rank),
  act: (recommendation, type) => void act(recommendation, type),
  tryIt,
  more: () => void more(),
});
listenToMap({ tryIt, isComposing: () => choice.clips !== null });
listenToItemDesk({ tryIt, changed: (did) => void refresh({ did, how: 'in effect', itemId: null }) });
listenToModelDesk({ switched: () => void loadModels().then(() => refresh({ did: 'Another model serves', how: 'switched between two requests', itemId: null })).catch(showProblem), reload: loadModels });
whenTabShown('why', () => {
  if (explained) explain(explained.recommendation, explained.rank);
});
listenForShortcuts({ focusUser, focusFeed, showTab, more: () => void more(), refresh: () => void refresh(), switchTheme });
listenForComparison();
void load();
void followReadiness(() => void load());

/** How much of this answer the exact search gives too. */
function listenForComparison() {
  document.getElementById('compare')?.addEventListener('click', async () => {
    if (!shown) return;
    const { items } = shown;
    try {
      const { cursor: _, ...request } = asked;
      const { answer, roundTripMs } = await recommend({ ...request, k: Math.min(items.length, 500), explain: false, exact: true });
      const exact = new Set(idsOf(answer));
      const same = items.filter((one) => exact.has(one.item_id)).length;
      showCompared(`${same} of ${items.length} are the same; exact took ${formatMs(answer.timings_ms['total'] ?? roundTripMs)}.`);
    } catch (problem) {
      showProblem(problem);
    }
  });
}
