/**
 * The parts of the API's answers that the console shows. Only JSDoc imports this file; the browser never loads it.
 *
 * @typedef {object} Attributes
 * @property {string} [topic]
 * @property {string} [subtopic]
 * @property {string} [language]
 * @property {number} [duration_s] seconds
 * @property {string[]} [tags]
 * @property {string} [author_name]
 * @property {string} [published_at] RFC 3339
 * @property {string} [thumbnail_url] a picture to show in place of the drawn cover
 * @property {boolean} [synthetic] the clip is invented, there is no video
 *
 * @typedef {object} Item
 * @property {string | null} [title]
 * @property {string | null} [author_id]
 * @property {Attributes} [attributes]
 * @property {string | null} [available_from] RFC 3339
 *
 * @typedef {object} StoredItem as GET /v1/items/{id} answers
 * @property {string} item_id
 * @property {string | null} title
 * @property {string | null} author_id
 * @property {Attributes} attributes
 * @property {string | null} available_from
 * @property {boolean} hidden
 * @property {string} state
 * @property {string} availability
 * @property {boolean} has_hidden_states
 *
 * @typedef {object} Receipt what a write of an item is acknowledged with
 * @property {string} item_id
 * @property {string} state
 * @property {number} sequence
 * @property {number | null} searchable_after_ms
 * @property {number} applied_after_ms
 *
 * @typedef {object} Explanation
 * @property {number | null} [id_share] 0..1, the mean gate: 1 is all ID embedding, 0 all video content
 * @property {{item_id: string, contribution: number}[]} [history]
 * @property {number[] | null} [layers] share of each layer in the item's vector
 * @property {string[]} [moved_by]
 *
 * @typedef {object} Recommendation
 * @property {string} item_id
 * @property {number} score
 * @property {string} reason
 * @property {number} [propensity]
 * @property {Item} [item]
 * @property {Explanation} [explain]
 *
 * @typedef {object} RecommendationAnswer
 * @property {string} recommendation_id
 * @property {Recommendation[]} items
 * @property {string | null} next_cursor
 * @property {string | null} [end_reason]
 * @property {string | null} [fallback]
 * @property {string | null} [short_reason]
 * @property {{fingerprint: string, version: string}} model
 * @property {number} [sequence]
 * @property {Record<string, number>} timings_ms
 * @property {number[]} [layer_weights]
 *
 * @typedef {object} RecommendationRequest
 * @property {string} [user_id]
 * @property {string[]} [history] oldest first
 * @property {string[]} [disliked]
 * @property {string[]} [exclude]
 * @property {number} k
 * @property {string[]} fields
 * @property {boolean | 'layers'} [explain]
 * @property {boolean} [exact]
 * @property {string} [cursor]
 * @property {{item_id: string, position: number}[]} [pins]
 *
 * @typedef {object} HistoryEntry
 * @property {string} item_id
 * @property {string} [at] RFC 3339
 * @property {string} [type]
 * @property {Item} [item]
 *
 * @typedef {object} Model
 * @property {string} fingerprint
 * @property {string} name
 * @property {string} version
 * @property {string} variant
 * @property {boolean} active
 * @property {'active' | 'standby' | 'registered'} state
 * @property {number} dim
 * @property {number} layers
 * @property {string[]} layer_names
 * @property {number[]} layer_weights
 * @property {string} registered_at RFC 3339
 * @property {Record<string, number>} [items] by state, with `total`
 * @property {string} [provider]
 *
 * @typedef {object} Swap
 * @property {string} fingerprint
 * @property {'verifying' | 'fusing' | 'checking' | 'active' | 'failed'} state
 * @property {number} items_done
 * @property {number} items_total
 * @property {number | null} recall
 * @property {string | null} error
 * @property {string} started_at
 * @property {string | null} finished_at
 *
 * @typedef {object} ItemMap
 * @property {{fingerprint: string, version: string}} model
 * @property {string} made_at places of one model and time are comparable
 * @property {number} items
 * @property {[number, number]} variance
 * @property {{item_id: string, x: number, y: number, item?: Item}[]} points
 *
 * @typedef {'view' | 'like' | 'skip'} EventType
 */
export {};
