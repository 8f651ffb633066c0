/**
 * The parts of the API's answers that the console shows. Only JSDoc imports this file; the browser never loads it.
 *
 * @typedef {object} Attributes
 * @property {string} [topic]
 * @property {string} [subtopic]
 * @property {string} [language]
 * @property {number} [duration_s] seconds
 * @property {string[]} [tags]
 * @property {string} [published_at] RFC 3339
 * @property {boolean} [synthetic] the clip is invented, there is no video
 *
 * @typedef {object} Item
 * @property {string} [title]
 * @property {string} [author_id]
 * @property {Attributes} [attributes]
 *
 * @typedef {object} Explanation
 * @property {number} [id_share] 0..1, the mean gate: 1 is all ID embedding, 0 all video content
 * @property {{item_id: string, contribution: number}[]} [history]
 * @property {unknown[]} [moved_by]
 *
 * @typedef {object} Recommendation
 * @property {string} item_id
 * @property {number | null} score
 * @property {string} [reason]
 * @property {Item} [item]
 * @property {Explanation} [explain]
 *
 * @typedef {object} RecommendationAnswer
 * @property {string} recommendation_id
 * @property {Recommendation[]} items
 * @property {string | null} [fallback]
 * @property {string | null} [short_reason]
 * @property {{fingerprint: string, version: string}} [model]
 * @property {number} [sequence]
 * @property {Record<string, number>} [timings_ms]
 * @property {LayerWeight[]} [layer_weights]
 *
 * @typedef {number | {name?: string, layer?: string | number, weight: number}} LayerWeight
 *
 * @typedef {object} RecommendationRequest
 * @property {string} user_id
 * @property {number} k
 * @property {string[]} fields
 * @property {boolean} explain
 * @property {boolean} [exact]
 *
 * @typedef {object} HistoryEntry
 * @property {string} item_id
 * @property {string} [at] RFC 3339
 * @property {string} [type]
 * @property {Item} [item]
 *
 * @typedef {object} ActiveModel
 * @property {string} fingerprint
 * @property {string} [version]
 * @property {boolean} [active]
 * @property {number} [dim]
 * @property {number | string[]} [layers]
 * @property {string[]} [layer_names]
 * @property {string} [provider]
 * @property {number} [items]
 * @property {number} [item_count]
 *
 * @typedef {'view' | 'like' | 'skip'} EventType
 */
export {};
