// The viewer as a person uses it, in a real browser against a running server:
//
//   SMARTEM_URL=http://127.0.0.1:8080/ npm run e2e
//
// The server must have stations with values and at least one refined hour, as `smartem demo` has.
// CHROMIUM names the browser; none is ever downloaded.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';

const url = process.env.SMARTEM_URL ?? 'http://127.0.0.1:8080/';
const PATIENCE_MS = 60_000;

const byTestId = (id) => `[data-testid="${id}"]`;
const measured = `${byTestId('station-item')}:not([data-kind="none"])`;

/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(async () => {
  await browser?.close();
});

/** Opens the page in English with stations in its list; `complaints` fills with console errors. */
async function open(width, height) {
  const context = await browser.newContext({ viewport: { width, height }, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.waitForSelector(measured, { state: 'attached' });
  return { page, complaints, close: () => context.close() };
}

async function assertNoSidewaysScroll(page) {
  const [content, window_] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    window.innerWidth,
  ]);
  assert.ok(content <= window_, `the page is ${content} px wide in a window of ${window_} px`);
}

for (const [width, height] of [
  [390, 844],
  [1280, 800],
]) {
  describe(`the viewer at ${width} px`, () => {
    test('shows a station with its values and its week, in two languages', async () => {
      const { page, complaints, close } = await open(width, height);
      await assertNoSidewaysScroll(page);

      const select = page.locator(byTestId('indicator-select'));
      const names = await select.locator('option').evaluateAll((all) => all.map((o) => o.value));
      assert.ok(names.length > 1, 'there are indicators to choose from');
      const name = names.includes('temperature') ? 'temperature' : names[0];
      await select.selectOption(name);
      const english = await select.locator('option:checked').textContent();
      const legend = page.locator(byTestId('legend'));
      assert.ok((await legend.textContent()).includes(english), 'the legend names the indicator');
      assert.match(await legend.textContent(), /\d/, 'the legend has numbers');

      const item = page.locator(measured).first();
      const id = await item.getAttribute('data-station');
      await item.click();
      const panel = page.locator(byTestId('station-panel'));
      await panel.waitFor({ state: 'visible' });
      const values = panel.locator(`${byTestId('last-values')} li`);
      assert.ok((await values.count()) > 0, 'the panel has last values');
      await page.waitForFunction(
        () => Number(document.querySelector('[data-testid="chart"]')?.dataset.points) > 0,
      );
      await panel.locator(`${byTestId('chart')} canvas`).waitFor({ state: 'visible' });
      await assertNoSidewaysScroll(page);

      const hash = new URL(page.url()).hash;
      assert.ok(hash.includes(`station=${id}`), 'the link holds the station');
      assert.ok(hash.includes(`indicator=${name}`), 'the link holds the indicator');

      await page.locator('button[data-lang="nl"]').click();
      assert.equal(await page.locator('html').getAttribute('lang'), 'nl');
      assert.ok((await panel.textContent()).includes('Laatste waarden'), 'the panel is in Dutch');
      await assertNoSidewaysScroll(page);

      await page.keyboard.press('Escape');
      await panel.waitFor({ state: 'hidden' });
      assert.match(await page.locator(byTestId('status')).textContent(), /Bijgewerkt/);
      assert.deepEqual(complaints, [], 'the console holds no errors');
      await close();
    });

    test('is usable with the keyboard alone', async () => {
      const { page, complaints, close } = await open(width, height);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      const focused = () =>
        page.evaluate(() => document.activeElement?.getAttribute('data-station'));
      const first = await focused();
      assert.ok(first, 'the skip link leads to the list');
      if ((await page.locator(byTestId('station-item')).count()) > 1) {
        await page.keyboard.press('ArrowDown');
        assert.notEqual(await focused(), first, 'the arrow key moves to another station');
      }
      const chosen = await focused();
      await page.keyboard.press('Enter');
      await page.locator(byTestId('station-panel')).waitFor({ state: 'visible' });
      await page.keyboard.press('Escape');
      await page.locator(byTestId('station-panel')).waitFor({ state: 'hidden' });
      assert.equal(await focused(), chosen, 'closing gives the focus back to the station');
      assert.deepEqual(complaints, [], 'the console holds no errors');
      await close();
    });
  });
}
