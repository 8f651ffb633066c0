import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const CANDIDATES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];
export const CHROMIUM = CANDIDATES.find(existsSync) ?? null;

/** @throws Error when there is none; Chromium's own sandbox does not run as root */
export function launchChromium(): Promise<Browser> {
  if (CHROMIUM === null) throw new Error(`there is no Chromium at ${CANDIDATES.join(', ')}`);
  return chromium.launch({ executablePath: CHROMIUM, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

export interface Opened {
  page: Page;
  /** Answers with this status are part of the test; 0: none at all. */
  expectStatus: (status: number) => void;
}

/**
 * Runs a test on a page of its own, and fails it when the page logged an error, violated its Content-Security-Policy or asked
 * another origin for anything.
 */
export async function onPage(
  browser: Browser,
  origin: string,
  path: string,
  options: BrowserContextOptions,
  test: (opened: Opened) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(20_000);
  const problems: { text: string; status?: number }[] = [];
  const expected = new Set<number>();
  try {
    await context.addInitScript(
      `document.addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective, event.blockedURI));`,
    );
    const page = await context.newPage();
    page.on('console', (message) => {
      const text = message.text();
      const status = text.includes('net::ERR_') ? 0 : Number(/the server responded with a status of (\d+)/.exec(text)?.[1]);
      if (['error', 'warning'].includes(message.type())) problems.push({ text: `${message.type()}: ${text}`, status });
    });
    page.on('pageerror', (error) => problems.push({ text: `uncaught: ${error.message}` }));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.origin !== origin && url.protocol !== 'data:' && url.protocol !== 'blob:') problems.push({ text: `another origin: ${request.url()}` });
    });
    await page.goto(origin + path);
    await test({ page, expectStatus: (status) => expected.add(status) });
    // now, not when it was logged: the first answer may come before the test has said what it expects
    const unexpected = problems.filter(({ status }) => status === undefined || !expected.has(status));
    assert.deepEqual(unexpected, []);
  } finally {
    await context.close();
  }
}
