import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { before, describe, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { packageFile } from '../../src/package-root.js';
import { bodyOf } from '../api.js';
import { build, demoStates, otherModel, suiteContext, type Built } from '../build.js';
import { demoFile } from '../../src/generations/model-choice.js';
import { CHROMIUM, launchChromium, onPage, type Opened } from './browser.js';

const isRequired = process.env.REQUIRE_CHROMIUM === '1';
const NARROW: BrowserContextOptions = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const TABS = ['why', 'map', 'request', 'model', 'clips'];
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const cards = (page: Page) => page.locator('article.clip');
const idsOf = (page: Page): Promise<string[]> => page.evaluate(`[...document.querySelectorAll('article.clip')].map((card) => card.dataset.itemId)`);
const ready = (page: Page) => cards(page).first().waitFor();
/** What the last change of the answer was said to be. */
const change = (page: Page) => page.locator('#change:not(:empty)');
/** Does something to the answer; resolves, when the next one is shown, with what is said of it. */
const answerAfter = async (page: Page, before: string, act: () => Promise<unknown>): Promise<string> => {
  await act();
  const next = before === '' ? change(page) : change(page).filter({ hasNotText: before });
  return (await next.textContent()) ?? '';
};
/** Waits for it card by card: the page lets no text be evaluated. */
const idsAre = async (page: Page, wanted: readonly string[]): Promise<void> => {
  for (const [rank, itemId] of wanted.entries())
    await page.locator(`article.clip:nth-child(${rank + 1})[data-item-id="${itemId}"]`).waitFor({ state: 'attached' });
};
const overflow = (page: Page): Promise<number> => page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');

if (CHROMIUM === null && !isRequired) test('the console', { skip: 'there is no Chromium: apt-get install chromium' });
else describe('the console', consoleTests);

function consoleTests(): void {
  let browser: Browser;
  let server: Built;
  let origin: string;
  const suite = suiteContext();

  const listen = async (environment: Record<string, string>): Promise<{ built: Built; url: string }> => {
    const built = await build(suite, environment);
    return { built, url: await built.app.listen({ port: 0, host: '127.0.0.1' }) };
  };
  before(async () => {
    browser = await launchChromium();
    suite.after(() => browser.close());
    // the bundled demo, as at a first start
    ({ built: server, url: origin } = await listen({ REELFUSE_MODEL_DIR: '', REELFUSE_RECALL_CHECK_SECONDS: '1' }));
  });

  const open = (path: string, options: BrowserContextOptions, run: (opened: Opened) => Promise<void>) => onPage(browser, origin, path, options, run);
  const positives = async (userId: string): Promise<string[]> =>
    (await server.services.stores.events.history(userId, 50)).map(({ item_id: itemId }) => itemId);

  test('first sight: twenty clips of a known user, the active model, and why the first clip is there', () =>
    open('/', {}, async ({ page }) => {
      await ready(page);
      assert.equal(await cards(page).count(), 20);
      assert.match((await page.locator('#model-facts').textContent()) ?? '', /demo 1.*1,0\d\d.*64.*7.*cpu/);
      assert.equal(
        await page
          .locator('#readiness')
          .textContent()
          .then((text) => text?.trim()),
        'ready',
      );
      const first = cards(page).first();
      assert.match((await first.textContent()) ?? '', /^1\w+.+ · \d:\d\d · \d+ (d|mo)/); // rank, topic, title, author, language, length, age
      assert.match((await first.textContent()) ?? '', /ID \d+ %video \d+ %/);
      await page.locator('#explanation .layers li').nth(6).waitFor();
      assert.equal(await page.locator('#explanation h2').textContent(), await first.locator('.title').textContent());
      assert.equal(await page.locator('#synthetic').isVisible(), true);
    }));

  test('the page runs under a policy without any inline script or style, and names every module it needs', async () => {
    const { headers, text: body } = await server.api.raw('/');
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.doesNotMatch(body, /<script(?![^>]*src)|<style|\sstyle=|\son\w+=/);
    const preloaded = [...body.matchAll(/rel="modulepreload" href="\/console\/([^"]+)"/g)].map(([, name]) => name);
    const modules = readdirSync(packageFile('src', 'console')).filter((name) => name.endsWith('.js'));
    assert.deepEqual(preloaded, modules.filter((name) => !['main.js', 'theme.js', 'wire-types.js'].includes(name)).sort());
  });

  test('a user is searched by the start of the id, and stays in the address', () =>
    open('/?user=gamer', {}, async ({ page }) => {
      await ready(page);
      const before = await idsOf(page);
      await page.locator('#user-id').fill('u003');
      await page.locator('#known-users:has(option:nth-child(2)):not(:has(option:not([value^="u003"])))').waitFor({ state: 'attached' });
      await page.locator('#user-id').fill('dancer');
      await page.keyboard.press('Enter');
      await page.waitForURL(/user=dancer/);
      await cards(page).first().locator('.topic', { hasText: 'dance' }).waitFor();
      assert.notDeepEqual(await idsOf(page), before);
      await page.goBack();
      await idsAre(page, before);
      assert.equal(await page.locator('#user-id').inputValue(), 'gamer');
    }));

  test('a like is stored, leads the history, and changes the very next answer, which says what moved', () =>
    open('/?user=pet-lover', {}, async ({ page }) => {
      await ready(page);
      const before = await idsOf(page);
      const liked = before[4] ?? '';
      const said = await answerAfter(page, '', () => cards(page).nth(4).locator('[data-action=like]').click());
      assert.match(said, /^Liked “.+”, on disk after .+ ms\. The next answer: .*\d+ new/);
      const after = await idsOf(page);
      assert.equal(after.includes(liked), false);
      assert.notDeepEqual(
        after,
        before.filter((id) => id !== liked),
      );
      assert.equal((await positives('pet-lover'))[0], liked);
      assert.equal(await page.evaluate('document.getAnimations().length'), 0); // reduced motion is asked for
      await page.locator('.past li:first-child', { hasText: /like · just now$/ }).waitFor();
      assert.equal(await page.locator('.move[data-kind=new]').count(), after.filter((id) => !before.includes(id)).length);
      const watched = await answerAfter(page, said, () => cards(page).nth(1).locator('[data-action=view]').click());
      assert.match(watched, /^Watched “/);
      assert.equal((await positives('pet-lover')).length >= 2 && (await positives('pet-lover'))[0] === after[1], true);
      await answerAfter(page, watched, () => cards(page).nth(0).locator('[data-action=skip]').click());
      assert.equal((await positives('pet-lover'))[0], after[1]); // a skip is no positive
    }));

  test('a history is composed by clicking clips: the answer follows, nothing is stored, and clips can be taken out again', () =>
    open('/?user=science-lover', {}, async ({ page }) => {
      await ready(page);
      const sequence = server.services.stores.changes.sequence;
      await page.locator('label', { hasText: 'Clips you choose' }).click();
      await page.locator('.reason-line', { hasText: 'no_history' }).waitFor();
      const first = (await idsOf(page))[2] ?? '';
      let said = await answerAfter(page, '', () => cards(page).nth(2).locator('[data-action=view]').click());
      assert.match(said, /in this page only/);
      await page.locator('.past li:only-child .remove').waitFor();
      assert.equal(await cards(page).first().locator('.reason').textContent(), 'from history');
      const alone = await idsOf(page);
      const skipped = alone[0] ?? '';
      said = await answerAfter(page, said, () => cards(page).first().locator('[data-action=skip]').click());
      assert.match(said, /^Skipped/);
      assert.equal((await idsOf(page)).includes(skipped), false);
      assert.equal(new URL(page.url()).search, `?clips=&clip=${first}&not=${skipped}`);
      await answerAfter(page, said, () => page.locator('.past .against .remove').click());
      assert.deepEqual(await idsOf(page), alone);
      assert.equal(server.services.stores.changes.sequence, sequence);
    }));

  test('scrolling to the end brings the next page, and no clip twice', () =>
    open('/?user=traveller&k=24', {}, async ({ page }) => {
      await ready(page);
      for (const expected of [48, 72]) {
        await page.evaluate('document.querySelector("#end-note").scrollIntoView()');
        await cards(page)
          .nth(expected - 1)
          .waitFor();
      }
      const ids = await idsOf(page);
      assert.equal(new Set(ids).size, ids.length);
      assert.equal(await cards(page).nth(71).getAttribute('aria-posinset'), '72');
      assert.equal(
        await page.locator('article.clip button[tabindex="0"], article.clip button:not([tabindex])').count(),
        await cards(page).first().locator('button').count(),
      );
      const sent = page.waitForRequest((request) => request.url().endsWith('/v1/events'));
      await cards(page).nth(30).locator('[data-action=like]').click();
      const { events } = (await sent).postDataJSON() as { events: { item_id: string; recommendation_id: string }[] };
      const answer = await bodyOf(server.api.replayRecommendation(events[0]?.recommendation_id ?? ''));
      assert.ok(answer.items.some(({ item_id: id }) => id === events[0]?.item_id)); // of its own page
    }));

  test('Why: ID share, the weight of each layer, what the history gives, and the answer as it was sent', () =>
    open('/?user=makeup-lover', {}, async ({ page }) => {
      await ready(page);
      await cards(page).nth(3).locator('.face').click();
      const why = page.locator('#explanation');
      await why.locator('h2', { hasText: (await cards(page).nth(3).locator('.title').textContent()) ?? '' }).waitFor();
      await why.locator('.layers li').nth(6).waitFor();
      const shares = await why.locator('.layers .value').allTextContents();
      const whole = shares.reduce((sum, share) => sum + parseInt(share, 10), 0);
      assert.ok(whole >= 96 && whole <= 104, shares.join()); // rounded to whole percents
      const contributions = await why.locator('.bars:not(.compact) .value').allTextContents();
      assert.ok(contributions.length > 1 && contributions.every((text) => /^[+−]\d+\.\d{3}$/.test(text)));
      const sent = JSON.parse((await why.locator('details pre').textContent()) ?? '') as { item_id: string };
      assert.equal(sent.item_id, (await idsOf(page))[3]);
      assert.equal(await cards(page).nth(3).getAttribute('aria-current'), 'true');
    }));

  test('the map draws the sample, the history and the answer; arrow keys find a clip and Enter tries it', () =>
    open('/?user=gardener', {}, async ({ page }) => {
      await ready(page);
      await page.locator('#tab-map').click();
      await page.locator('#map-note', { hasText: /^1,0\d\d of 1,0\d\d clips by the two principal axes/ }).waitFor();
      const drawing = (): Promise<string> => page.evaluate(`document.querySelector('#map-canvas').toDataURL()`);
      const whole = await drawing();
      await page.locator('#map-zoom').click();
      const zoomed = await drawing();
      assert.notEqual(zoomed, whole);
      await page.locator('#map-zoom').click();
      assert.equal(await drawing(), whole);
      await page.locator('#map-topics button', { hasText: 'gardening' }).click();
      assert.notEqual(await drawing(), whole);
      await page.locator('#map').focus();
      await page.keyboard.press('ArrowRight');
      await page.locator('#map-clip .title').waitFor();
      await page.keyboard.press('Enter');
      await page.waitForURL(/clips=&clip=/);
      await page.locator('.past li:only-child .remove').waitFor();
    }));

  test('Speed: stages of this request, p50 and p99 of the server, and how much exact search agrees', () =>
    open('/?user=dancer', {}, async ({ page }) => {
      await ready(page);
      await page.locator('#tab-request').click();
      assert.deepEqual(
        await page
          .locator('.legend dt')
          .allTextContents()
          .then((names) => names.slice(0, 5)),
        ['queue', 'history', 'user tower', 'search', 'rules'],
      );
      await page.locator('.latencies .total td').nth(1).waitFor();
      for (const text of await page.locator('.latencies .total td').allTextContents()) assert.match(text, /^[\d.]+ ms$/);
      await page.locator('#compare').click();
      await page.locator('#compared', { hasText: /^(1[5-9]|20) of 20 are the same; exact took .* ms\.$/ }).waitFor();
      assert.match((await page.locator('#curl').textContent()) ?? '', /^curl -sS '.*\/v1\/recommendations'[^]*"user_id":"dancer"/);
    }));

  test('quantiles are those that Prometheus computes', () =>
    open('/', {}, async ({ page }) => {
      const text = [
        'h_bucket{stage="a",le="1"} 2',
        'h_bucket{stage="a",le="2"} 6',
        'h_bucket{stage="a",le="+Inf"} 8',
        'h_bucket{stage="b",le="1"} 0',
        'h_bucket{stage="b",le="+Inf"} 0',
        'g 0.75',
      ].join('\n');
      const read = await page.evaluate(`import('/console/metrics-text.js').then(({ histograms, quantile, gauge, since }) => {
        const [a, b] = histograms(${JSON.stringify(text)}, 'h', 'stage').values();
        return [quantile(0.5, a), quantile(0.9, a), quantile(0.5, b), gauge(${JSON.stringify(text)}, 'g'), gauge('', 'g'), since(a, a).counts];
      })`);
      assert.deepEqual(read, [1.5, 2, null, 0.75, null, [0, 0, 0]]);
    }));

  test('a model is registered, switched to with progress, and rolled back; the feed follows', async (t) => {
    const folder = await otherModel(t);
    await open('/?user=comedy-fan', {}, async ({ page, expectStatus }) => {
      await ready(page);
      const before = await idsOf(page);
      await page.locator('#tab-model').click();
      assert.equal(await page.locator('#layers li').count(), 7);
      await page.locator('#recall strong', { hasText: '%' }).waitFor();
      expectStatus(422);
      await page.locator('#artifact-folder').fill('tonight');
      await page.locator('#register-form button').click();
      await page.locator('#artifact-folder-note.failed', { hasText: 'must be an absolute path' }).waitFor();
      await page.locator('#artifact-folder').fill(folder);
      await page.locator('#register-form button').click();
      await page.locator('.version[data-state=registered]').waitFor();
      await page.locator('.version[data-state=registered] button').click();
      await page.locator('#swap progress').waitFor();
      await page.locator('.version[data-state=active]', { hasText: 'demo next' }).waitFor();
      await change(page).filter({ hasText: 'Another model serves' }).waitFor();
      assert.match((await page.locator('#model-facts').textContent()) ?? '', /demo next/);
      assert.notDeepEqual(await idsOf(page), before);
      const said = (await change(page).textContent()) ?? '';
      await page.locator('.version[data-state=standby] button').click();
      await page.locator('.version[data-state=active]', { hasText: 'demo 1' }).waitFor();
      await idsAre(page, before);
      assert.notEqual(said, '');
    });
  });

  test('a clip is put by form: errors stand at their fields, it is searchable, and can be hidden, shown and deleted', () =>
    open('/?user=car-enthusiast', {}, async ({ page, expectStatus }) => {
      await ready(page);
      await page.locator('#tab-clips').click();
      const field = (name: string) => page.locator(`#item-form [data-field=${name}]`);
      const put = page.locator('#item-form button[type=submit]');
      await put.click();
      assert.equal(await field('item_id').locator('.error').textContent(), 'is required');
      await field('item_id').locator('input').fill('by-form');
      await field('author_id').locator('input').fill('two words');
      await field('expires_at').locator('input').fill('tomorrow');
      expectStatus(422);
      await put.click();
      await field('author_id').locator('.error', { hasText: 'without spaces' }).waitFor();
      assert.match((await field('expires_at').locator('.error').textContent()) ?? '', /must be a time/);
      assert.equal(await field('author_id').locator('input').getAttribute('aria-invalid'), 'true');
      await field('author_id').locator('input').fill('a1');
      await field('expires_at').locator('input').fill('');
      await field('title').locator('input').fill('A title of its own');
      await field('file').locator('input').setInputFiles(packageFile('package.json'));
      await field('file').locator('.error', { hasText: 'is not a safetensors file' }).waitFor();
      await field('file').locator('input').setInputFiles(demoFile('hidden_states.safetensors'));
      await page.locator('#item-row').selectOption({ label: 'clip-0042' });
      await put.click();
      await page.locator('.receipt', { hasText: /^Put: searchable after .* ms/ }).waitFor();
      const stored = await server.services.stores.items.hiddenStates('by-form');
      assert.equal(Buffer.from(stored?.data ?? []).toString('base64'), demoStates('clip-0042').data);

      expectStatus(412);
      await put.click();
      await field('item_id').locator('.error', { hasText: 'is taken' }).waitFor();
      await page.locator('#item button', { hasText: 'Hide' }).click();
      await page.locator('.item[data-state=hidden]').waitFor();
      await page.locator('#item button', { hasText: 'Show' }).click();
      await page.locator('.item[data-state=searchable]').waitFor();
      await page.locator('#find').fill('mix the greens');
      await page.locator('#found li', { hasText: 'clip-0006' }).waitFor();
      await page.locator('#find').fill('by-f');
      await page.locator('#found li', { hasText: 'A title of its own' }).waitFor();
      const remove = page.locator('#item button.danger');
      await remove.click();
      assert.equal((await server.services.stores.items.get('by-form'))?.item_id, 'by-form'); // asked once more first
      await remove.click();
      await page.locator('.receipt', { hasText: 'Deleted' }).waitFor();
      assert.equal(await server.services.stores.items.get('by-form'), null);
    }));

  test('everything by keyboard: find the user, walk the cards, react, ask why, change tabs, switch single keys off', () =>
    open('/?user=football-fan', {}, async ({ page }) => {
      await ready(page);
      const focused = (): Promise<string> => page.evaluate(`document.activeElement.id || document.activeElement.ariaPosInSet || ''`);
      await page.keyboard.press('/');
      assert.equal(await focused(), 'user-id');
      await page.keyboard.press('f'); // a letter in a field is a letter
      assert.equal(await focused(), 'user-id');
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.press('f');
      assert.equal(await focused(), '1');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('ArrowRight');
      assert.equal(await focused(), '3');
      assert.equal(await page.evaluate(`document.querySelectorAll('article[tabindex="0"]').length`), 1);
      assert.notEqual(await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`), 'none');
      const last = await cards(page).count(); // of those that are there: being at the end fetches more
      await page.keyboard.press('End');
      assert.equal(await focused(), String(last));
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowDown');
      const below = Number(await focused());
      assert.ok(below > 3, `${below}`);
      await page.keyboard.press('ArrowUp');
      assert.equal(await focused(), '1');
      const liked = (await idsOf(page))[0];
      const said = await answerAfter(page, '', () => page.keyboard.press('l'));
      assert.equal((await positives('football-fan'))[0], liked);
      assert.equal(await focused(), '1'); // the focus stays at its rank
      await page.keyboard.press('3');
      assert.equal(await page.locator('#panel-request').isVisible(), true);
      await page.keyboard.press('Enter');
      assert.equal(await page.locator('#panel-why').isVisible(), true);
      await page.locator('#tab-why').focus();
      await page.keyboard.press('ArrowRight');
      assert.equal(await page.locator('#panel-map').isVisible(), true);
      await page.keyboard.press('f');
      await answerAfter(page, said, () => page.keyboard.press('h'));
      assert.equal(await page.locator('#for-clips').isChecked(), true);
      await page.locator('.past li:only-child .remove').waitFor();
      await page.keyboard.press('?');
      await page.locator('#shortcuts .switch').click();
      await page.keyboard.press('Escape');
      await page.keyboard.press('4');
      assert.equal(await page.locator('#panel-model').isVisible(), false);
    }));

  test('light and dark follow the system until one is chosen, and the choice outlives the page', () =>
    open('/', { colorScheme: 'dark' }, async ({ page }) => {
      await ready(page);
      const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
      assert.equal(await ground(), 'rgb(14, 15, 19)');
      await page.locator('#theme').click();
      assert.equal(await ground(), 'rgb(244, 244, 246)');
      await page.reload();
      assert.equal(await ground(), 'rgb(244, 244, 246)');
      await page.locator('#theme').click();
      await page.emulateMedia({ colorScheme: 'light' });
      assert.equal(await ground(), 'rgb(244, 244, 246)'); // follows again
    }));

  test('on a narrow screen nothing hangs over the edge, and the panels are tabs below', () =>
    open('/?user=dancer', NARROW, async ({ page }) => {
      await ready(page);
      assert.equal(await overflow(page), 0);
      for (const tab of TABS) {
        await page.locator(`#tab-${tab}`).click();
        assert.deepEqual(
          [tab, await page.locator(`#panel-${tab}`).isVisible(), await cards(page).first().isVisible(), await overflow(page)],
          [tab, true, false, 0],
        );
      }
      await page.locator('#tab-feed').click();
      assert.equal(await cards(page).first().isVisible(), true);
      await cards(page).nth(12).locator('.face').click();
      assert.equal(await page.locator('#panel-why').isVisible(), true);
      assert.deepEqual(await page.evaluate('[document.activeElement.id, scrollY]'), ['panel-why', 0]);
      await page.locator('#tab-feed').click();
      assert.ok((await page.evaluate<number>('scrollY')) > 1000); // back where the clip is
    }));

  for (const [name, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['narrow', NARROW],
  ] as const) {
    test(`axe finds nothing wrong: ${name}`, () =>
      open('/?user=hungry-traveller', { ...options, bypassCSP: true }, async ({ page }) => {
        await ready(page);
        await page.addScriptTag({ content: axeSource });
        const violations = async (where: string): Promise<string[]> =>
          (
            await page.evaluate<{ id: string; nodes: { target: string[]; failureSummary: string }[] }[]>(
              'axe.run().then(({ violations }) => violations)',
            )
          ).map(
            ({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`).join('; ')}`,
          );
        const found = await violations('feed');
        for (const tab of TABS) {
          await page.locator(`#tab-${tab}`).click();
          if (tab === 'why') await page.locator('#explanation .layers li').first().waitFor();
          if (tab === 'map') await page.locator('#map-note:not(:empty)').waitFor();
          if (tab === 'request') await page.locator('.latencies').waitFor();
          if (tab === 'clips') await page.locator('#item-form button[type=submit]').click();
          found.push(...(await violations(tab)));
        }
        await page.locator('#show-shortcuts').click();
        found.push(...(await violations('keyboard')));
        assert.deepEqual(found, []);
      }));
  }

  test('text of a clip is text, whatever it looks like', () =>
    open('/?clips=', {}, async ({ page }) => {
      await ready(page);
      const title = '<img src=x onerror="console.error(1)"><b>bold</b>';
      await server.api.putItem('markup', { title, attributes: { topic: title }, hidden_states: demoStates('clip-0001') });
      await page.locator('#tab-clips').click();
      await page.locator('#find').fill('markup');
      await page.locator('#found button').first().click();
      await page.locator('.past .title', { hasText: title }).waitFor();
      await server.api.deleteItem('markup');
    }));

  test('attributes may be numbers and lists', () =>
    open('/?clips=', {}, async ({ page }) => {
      await ready(page);
      await server.api.putItem('numbered', {
        title: 'Numbered',
        attributes: { topic: 12, tags: true, author_name: ['A', 'B'], duration_s: 'long' },
        hidden_states: demoStates('clip-0001'),
      });
      await page.locator('#tab-clips').click();
      await page.locator('#find').fill('numbered');
      await page.locator('#found li', { hasText: 'numbered · 12' }).locator('button').first().click();
      await page.locator('.past .title', { hasText: 'Numbered' }).waitFor();
      await page.locator('#find').fill('cook'); // goes through all that is known
      await page.locator('#found button').first().waitFor();
      await server.api.deleteItem('numbered');
    }));

  test('a picture that the attributes name is shown, and the drawing where it cannot be loaded', () =>
    open('/?clips=&clip=pictured&clip=broken', {}, async ({ page, expectStatus }) => {
      expectStatus(404);
      const put = (itemId: string, picture: string) =>
        server.api.putItem(itemId, { title: itemId, attributes: { thumbnail_url: picture }, hidden_states: demoStates('clip-0001') });
      await put('pictured', '/console/favicon.svg');
      await put('broken', '/console/nothing.svg');
      await page.reload();
      await page.locator('.past li', { hasText: 'pictured' }).locator('img').waitFor();
      await page.locator('.past li', { hasText: 'broken' }).locator('img').waitFor({ state: 'detached' });
      for (const itemId of ['pictured', 'broken']) await server.api.deleteItem(itemId);
    }));

  test('with keys configured the console asks for one, and does what the scopes of the key allow', async () => {
    const { built, url } = await listen({ REELFUSE_MODEL_DIR: '', REELFUSE_API_KEYS: 'reader-key-0123456789:recommend+write' });
    await onPage(browser, url, '/?user=dancer', {}, async ({ page, expectStatus }) => {
      expectStatus(401);
      expectStatus(403);
      await page.locator('#problem', { hasText: 'api_key_missing' }).waitFor();
      await page.locator('#api-key').fill('reader-key-0123456789');
      await page.keyboard.press('Enter');
      await ready(page);
      assert.equal(await page.locator('#problem').isVisible(), false);
      await answerAfter(page, '', () => cards(page).first().locator('[data-action=like]').click());
      await page.locator('#tab-request').click();
      await page.locator('#live', { hasText: 'lacks the scope metrics' }).waitFor();
      assert.doesNotMatch((await page.locator('#curl').textContent()) ?? '', /reader-key/);
    });
    await built.stop();
  });

  test('an empty catalogue, and a server that has gone, are said', async () => {
    const { built, url } = await listen({});
    await onPage(browser, url, '/?user=nobody', {}, async ({ page, expectStatus }) => {
      await page.locator('.reason-line', { hasText: 'No clip: there are no more' }).waitFor();
      assert.equal(await cards(page).count(), 0);
      await page.locator('#tab-map').click();
      await page.locator('#map-note', { hasText: '0 of 0 clips' }).waitFor();
      expectStatus(0);
      await built.stop();
      await page.locator('#request-form button[type=submit]').click();
      await page.locator('#problem', { hasText: 'The server cannot be reached' }).waitFor();
    });
  });
}
