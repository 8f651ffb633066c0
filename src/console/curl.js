/** @import * as Wire from './wire-types.js' */
import { apiKey } from './api.js';
import { byId } from './element.js';

const code = byId('curl', HTMLElement);
const copy = byId('copy-curl', HTMLButtonElement);
const COPIED_MS = 1_600;

/** @param {Wire.RecommendationRequest} request */
export function showCurl(request) {
  // The key itself stays out of what people paste into tickets.
  const key = apiKey.get() ? ["  -H \"authorization: Bearer $REELFUSE_API_KEY\""] : [];
  code.textContent = [
    `curl -sS ${quote(`${location.origin}/v1/recommendations`)}`,
    "  -H 'content-type: application/json'",
    ...key,
    `  -d ${quote(JSON.stringify(request))}`,
  ].join(' \\\n');
}

/** For a POSIX shell. @param {string} text */
function quote(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

copy.addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(code.textContent ?? '');
    copy.textContent = 'Copied';
  } catch {
    // Without a secure origin there is no clipboard: leave the text selected for the keyboard.
    getSelection()?.selectAllChildren(code);
    copy.textContent = 'Selected';
  }
  setTimeout(() => {
    copy.textContent = 'Copy';
  }, COPIED_MS);
});
