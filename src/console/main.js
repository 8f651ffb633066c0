/**
 * @import * as Wire from './wire-types.js'
 * @import {Choice} from './user-picker.js'
 */
import { activeModel, listUsers, randomId, recommend, sendEvent } from './api.js';
import { fetchHistory, rememberItem } from './catalogue.js';
import { showDetail } from './clip-detail.js';
import { showCurl } from './curl.js';
import { showHistory } from './history-strip.js';
import { followReadiness, showModel } from './model-status.js';
import { clearProblem, listenForKey, showProblem } from './problems.js';
import { compareRanks } from './rank-moves.js';
import { announce, announceChange, clearPlaceholders, markBusy, markSending, showPlaceholders, showRecommendations } from './recommendations.js';
import { showLayerWeights, showTimings } from './timings.js';
import { choiceOfAddress, listenForChoices, newUserId, putInAddress, showChoice, showUsers } from './user-picker.js';

/** @typedef {{recommendation: Wire.Recommendation, type: Wire.EventType, ackMs: number}} Acknowledged */

/** @type {Choice} */
let choice = choiceOfAddress();
/** The answer on the page; null until the user chosen has one. @type {Wire.RecommendationAnswer | null} */
let shown = null;
/** Counts refreshes, so that a slow answer never overwrites a newer one. */
let latest = 0;
/** Items with an event under way: a double click is one event. @type {Set<string>} */
const sending = new Set();

/** @type {Record<Wire.EventType, string>} */
const DONE = { view: 'Watched', like: 'Liked', skip: 'Skipped' };

/** @returns {Wire.RecommendationRequest} */
function currentRequest() {
  return {
    user_id: choice.userId,
    k: choice.k,
    fields: ['title', 'author_id', 'attributes'],
    explain: true,
    ...(choice.exact ? { exact: true } : {}),
  };
}

/** Asks again and shows what changed. @param {Acknowledged} [after] the event that this answer should already reflect */
async function refresh(after) {
  latest += 1;
  const mine = latest;
  const request = currentRequest();
  showCurl(request);
  if (shown) markBusy(true);
  else showPlaceholders(choice.k);
  try {
    // One after the other: a second call under way would blur the round trip that is measured.
    const { answer, roundTripMs } = await recommend(request);
    if (mine !== latest) return;
    for (const { item_id: id, item } of answer.items) rememberItem(id, item);
    const history = await fetchHistory(choice.userId);
    if (mine !== latest) return;
    clearProblem();

    const actedOn = after?.recommendation.item_id ?? null;
    const ranks = shown && after ? compareRanks(idsOf(shown), idsOf(answer), actedOn) : null;
    shown = answer;
    showHistory(history, actedOn);
    showRecommendations(answer, request, roundTripMs, ranks, { open: showDetail, act });
    showTimings(answer.timings_ms ?? {}, roundTripMs);
    showLayerWeights(answer.layer_weights);
    if (after) announceChange(`${DONE[after.type]} “${after.recommendation.item?.title ?? actedOn}”`, after.ackMs, ranks);
    else announce('');
  } catch (problem) {
    if (mine !== latest) return;
    clearPlaceholders();
    markBusy(false);
    showProblem(problem);
  }
}

/** @param {Wire.RecommendationAnswer} answer */
function idsOf(answer) {
  return answer.items.map((recommendation) => recommendation.item_id);
}

/**
 * @param {Wire.Recommendation} recommendation
 * @param {Wire.EventType} type
 */
async function act(recommendation, type) {
  if (sending.has(recommendation.item_id)) return;
  sending.add(recommendation.item_id);
  markSending(recommendation.item_id, true);
  const { userId } = choice;
  const durationMs = Math.round((recommendation.item?.attributes?.duration_s ?? 15) * 1000);
  try {
    const { roundTripMs } = await sendEvent({
      event_id: randomId(),
      user_id: userId,
      item_id: recommendation.item_id,
      type,
      at: new Date().toISOString(),
      ...(type === 'view' ? { watch_ms: durationMs, duration_ms: durationMs } : {}),
      ...(shown ? { recommendation_id: shown.recommendation_id } : {}),
    });
    if (choice.userId === userId) await refresh({ recommendation, type, ackMs: roundTripMs });
  } catch (problem) {
    showProblem(problem);
  } finally {
    sending.delete(recommendation.item_id);
    markSending(recommendation.item_id, false);
  }
}
/** @param {Choice} next */
function choose(next) {
  if (next.userId !== choice.userId) shown = null;
  choice = next;
  putInAddress(choice, 'push');
  showChoice(choice);
  void refresh();
}

/** Everything that depends on the server being up and the key being right. */
async function load() {
  try {
    const [model, users] = await Promise.all([activeModel(), listUsers()]);
    showModel(model);
    if (!choice.userId) {
      choice = { ...choice, userId: users[0]?.user_id ?? newUserId() };
      putInAddress(choice, 'replace');
    }
    showUsers(users, choice.userId);
    showChoice(choice);
  } catch (problem) {
    showProblem(problem);
    return;
  }
  await refresh();
}

showChoice(choice);
listenForChoices(choose);
listenForKey(() => void load());
void followReadiness(() => void load());
