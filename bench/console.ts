import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launchChromium } from '../test/console/browser.js';
import { writeOtherModel } from '../test/other-model.js';
import { withPalette } from './palette-png.js';
import { percentiles, startServer } from '../test/server-process.js';

/** A phone on a slow mobile network, by the figures that Lighthouse takes. */
const PHONE = { latency: 150, downloadThroughput: (1.6e6 / 8) | 0, uploadThroughput: (0.75e6 / 8) | 0, cpuSlowdown: 4 };
const DESKTOP: BrowserContextOptions = { viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' };
const NARROW: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  hasTouch: true,
  isMobile: true,
  reducedMotion: 'reduce',
};
const WARM_UP = 100;
const USER = '/?user=hungry-traveller';

/** What the page is asked to note before its own code runs; times in milliseconds since navigation. */
const OBSERVE = `
  window.noted = { cards: 0, blocked: 0, shift: 0 };
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => (noted.blocked += Math.max(0, entry.duration - 50)))).observe({ type: 'longtask', buffered: true });
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => { if (!entry.hadRecentInput) noted.shift += entry.value; })).observe({ type: 'layout-shift', buffered: true });
  new MutationObserver(() => { if (!noted.cards && document.querySelector('article.clip')) noted.cards = performance.now(); }).observe(document, { childList: true, subtree: true });
`;

interface Noted {
  cards: number;
  blocked: number;
  shift: number;
  paint: number;
}

/**
 * The console as a new visitor loads it, with an empty cache: requests, bytes, first paint, and the time until the feed can be
 * used; on this machine and as on a phone. --runs 5; --screenshots FOLDER writes the pictures of the documentation too.
 */
export async function openConsole(options: ReadonlyMap<string, number>, text: ReadonlyMap<string, string>): Promise<unknown> {
  const runs = options.get('runs') ?? 5;
  const folder = mkdtempSync(join(tmpdir(), 'reelfuse-console-'));
  const server = await startServer(join(folder, 'data'), { REELFUSE_RECALL_CHECK_SECONDS: '1' });
  const browser = await launchChromium();
  try {
    const pictures = text.get('screenshots');
    // the console, not a cold server
    for (let n = 0; n < WARM_UP; n++) await server.call('POST', '/v1/recommendations', { user_id: 'dancer', k: 20, explain: n % 2 === 0 });
    if (pictures !== undefined) await takeScreenshots(browser, server.url, pictures, join(folder, 'next'));
    return { desktop: await measure(browser, server.url, runs, false), phone: await measure(browser, server.url, runs, true) };
  } finally {
    await browser.close();
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(browser: Browser, url: string, runs: number, isPhone: boolean): Promise<unknown> {
  const loads: (Noted & { requests: number; bytes: number })[] = [];
  for (let run = 0; run < runs; run++) {
    const context = await browser.newContext(isPhone ? NARROW : DESKTOP);
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    if (isPhone) {
      const { cpuSlowdown: rate, ...network } = PHONE;
      await session.send('Network.emulateNetworkConditions', { offline: false, ...network });
      await session.send('Emulation.setCPUThrottlingRate', { rate });
    }
    let requests = 0;
    let bytes = 0;
    session.on('Network.requestWillBeSent', () => requests++);
    session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
    await page.addInitScript(OBSERVE);
    await page.goto(url + USER);
    await page.locator('article.clip').first().waitFor();
    const [usableRequests, usableBytes] = [requests, bytes];
    await page.locator('#explanation .layers li, body[data-tab="feed"]').first().waitFor();
    const noted = await page.evaluate<Noted>(`({ ...noted, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN })`);
    loads.push({ requests: usableRequests, bytes: usableBytes, ...noted });
    await context.close();
  }
  const of = (name: keyof (typeof loads)[0]) => percentiles(loads.map((load) => load[name]));
  return {
    requests: of('requests').p50,
    transferred_kb: Math.round(of('bytes').p50 / 1024),
    first_paint_ms: of('paint'),
    usable_ms: of('cards'),
    blocked_ms: of('blocked'),
    layout_shift: of('shift').max,
  };
}

async function takeScreenshots(browser: Browser, url: string, folder: string, artifact: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const shoot = async (name: string, options: BrowserContextOptions, prepare: (page: Page) => Promise<unknown>): Promise<void> => {
    const context = await browser.newContext({ ...DESKTOP, ...options });
    const page = await context.newPage();
    await page.goto(url + USER);
    await page.locator('article.clip').first().waitFor();
    await prepare(page);
    writeFileSync(join(folder, `${name}.png`), withPalette(await page.screenshot()));
    await context.close();
  };
  const explained = (page: Page): Promise<void> => page.locator('#explanation .layers li').first().waitFor();
  const map = async (page: Page): Promise<void> => {
    await page.locator('#tab-map').click();
    await page.locator('#map-note:not(:empty)').waitFor();
  };
  await shoot('console', {}, explained);
  await shoot('console-reaction', { colorScheme: 'dark' }, async (page) => {
    await map(page);
    await page.locator('[data-action=like]').nth(2).click();
    await page.locator('#change:not(:empty)').waitFor();
  });
  await shoot('console-narrow', { ...NARROW, colorScheme: 'dark' }, async () => undefined);
  await writeOtherModel(artifact, { version: '2' });
  await shoot('console-swap', {}, async (page) => {
    await page.locator('#tab-model').click();
    await page.locator('#recall strong').waitFor();
    await page.locator('#artifact-folder').fill(artifact);
    await page.locator('#register-form button').click();
    await page.locator('.version[data-state=registered] button').click();
    await page.locator('.version[data-state=standby]').waitFor();
    await page.locator('#change:not(:empty)').waitFor();
    await page.locator('.version[data-state=standby] button').focus();
  });
}
