// page.mjs PROGRAM PLAYWRIGHT CHROMIUM [SCREENSHOT_FOLDER]: the page of `lille serve`, used as a person does. Run by page.sh.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [program, playwright, executablePath, screenshots] = process.argv.slice(2);
const { chromium } = (await import(playwright)).default;
const kLong_ms = 60000;

async function serve(...options) {
  const server = spawn(program, ['serve', '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  for await (const piece of server.stdout) {
    said += piece;
    if (said.includes('\n')) break;
  }
  assert.match(said, /^http:/, 'the server did not start');
  return { server, url: said.trim() };
}

let { server, url } = await serve();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, acceptDownloads: true });
context.setDefaultTimeout(kLong_ms);
const page = await context.newPage();
const faults = [];
page.on('pageerror', (error) => faults.push(String(error)));
page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
const isOwn = (address) => address.startsWith(url) || address.startsWith('blob:');
page.on('request', (request) => isOwn(request.url()) || faults.push(`asked ${request.url()}`));

if (screenshots) mkdirSync(screenshots, { recursive: true });
const shoot = async (name) => screenshots && page.screenshot({ path: join(screenshots, `${name}.png`) });
const answers = page.locator('.message.answer');
const users = page.locator('.message.user');
const ended = () => page.locator('#send').waitFor();
const textOf = (locator) => locator.evaluate((element) => element.textContent);
const tokensOf = (locator) => locator.locator('.token').allTextContents();
const stored = () => page.evaluate(() => JSON.parse(localStorage.getItem('lille.conversations') ?? '[]'));
const isTooWide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

const importText = (text) =>
  page.setInputFiles('#import-file', { name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(text) });

async function step(name, work) {
  const start_ms = performance.now();
  await work();
  assert.deepEqual(faults, [], `${name}: the browser complains`);
  console.log(`${name}: ${((performance.now() - start_ms) / 1000).toFixed(2)} s`);
}

// What the browser itself says of a reply that a test asks for.
const forgive = (part) => faults.splice(0, faults.length, ...faults.filter((text) => !text.includes(part)));

async function say(text) {
  await page.fill('#message', text);
  await page.press('#message', 'Enter');
  await ended();
}

await step('an empty page says what the model is', async () => {
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('empty-title').textContent !== '');
  assert.equal(await page.locator('#prompts button').count(), 3);
  assert.match(await page.locator('#empty-text').textContent(), /\d+ tokens/);
  await shoot('empty');
});

await step('a prompt is answered, token by token, with probabilities', async () => {
  await page.fill('#seed', '1');
  await page.fill('#max_tokens', '40');
  await page.locator('#prompts button').first().click();
  await answers.locator('.token').first().waitFor();
  await ended();
  const tokens = await tokensOf(answers);
  assert.ok(tokens.length > 5 && tokens.length <= 40, `${tokens.length} tokens`);
  assert.equal((await stored())[0].messages[1].content, tokens.join(''));
  await page.locator('#speed-figures').getByText(String(tokens.length), { exact: true }).waitFor();
  await page.locator('#speed-chart polyline').waitFor({ state: 'attached' });
});

await step('the answer is that of the API', async () => {
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ messages: [{ role: 'user', content: 'What is a river?' }], seed: 1, max_tokens: 40 }),
  });
  const { choices } = await reply.json();
  assert.equal(choices[0].message.content, (await stored())[0].messages[1].content);
});

await step('the pointer shows alternatives, and choosing one continues from it', async () => {
  const before = await tokensOf(answers);
  await answers.locator('.token').nth(3).hover();
  const other = page.locator('#alternatives button[aria-label^="Continue from"]').first();
  await other.waitFor();
  await shoot('alternatives');
  const label = await other.getAttribute('aria-label');
  const chosen = await other.locator('code').textContent();
  assert.match(label, /^Continue from .+, .*%$/);
  const asked = page.waitForRequest((request) => request.url().endsWith('/v1/completions'));
  await other.click();
  await ended();
  // The very tokens that are kept, not their text cut anew.
  const kept = (await stored())[0].messages[1].tokens.slice(0, 4).map(([, , , ids]) => ids[0]);
  assert.deepEqual((await asked).postDataJSON().prompt.slice(-4), kept);
  const after = await tokensOf(answers);
  assert.deepEqual(after.slice(0, 3), before.slice(0, 3));
  assert.equal(after[3].replaceAll(' ', '\u2423').replaceAll('\n', '\u21b5'), chosen);
  assert.equal((await stored())[0].messages[1].content, after.join(''));
});

await step('the same with the keyboard alone', async () => {
  await page.mouse.move(0, 0);
  const before = await tokensOf(answers);
  await answers.locator('.tokens').focus();
  for (let idx = 0; idx < 3; ++idx) await page.keyboard.press('ArrowRight');
  await page.locator('#alternatives button').first().waitFor();
  assert.match(await page.locator('#status p').last().textContent(), /%/);
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => Boolean(document.activeElement.closest('#alternatives'))), true);
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), before[2]);
  assert.equal(await page.locator('#alternatives').isHidden(), true);
  await page.keyboard.press('Escape');
  await answers.locator('.tokens').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await ended();
  assert.notEqual((await tokensOf(answers))[0], before[0]);
});

await step('a second turn, regenerate and edit', async () => {
  await page.fill('#seed', '2');
  await say('Tell me more.');
  assert.equal(await answers.count(), 2);
  assert.equal(await page.getByRole('button', { name: 'Regenerate' }).count(), 1);
  await page.getByRole('button', { name: 'Regenerate' }).click();
  await ended();
  assert.equal(await answers.count(), 2);
  await shoot('chat');
  await users.first().getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Your message').fill('What is the sea?');
  await page.getByLabel('Your message').press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.message.user').length === 1);
  await ended();
  assert.equal(await answers.count(), 1);
  assert.equal((await stored())[0].title, 'What is the sea?');
});

// Of the next answer's stream some events reach the page, and then nothing until it gives the request up.
function holdNextAnswer() {
  return page.evaluate(() => {
    const kEvents = 6;
    const whole = window.fetch;
    window.fetch = async (path, options) => {
      const reply = await whole(path, options);
      window.fetch = whole;
      const events = (await reply.text()).split('\n\n').slice(0, kEvents);
      const start = (controller) => {
        controller.enqueue(new TextEncoder().encode(`${events.join('\n\n')}\n\n`));
        options.signal.addEventListener('abort', () => controller.error(options.signal.reason));
      };
      return new Response(new ReadableStream({ start }));
    };
  });
}

await step('stop ends an answer, which stays as far as it came', async () => {
  await holdNextAnswer();
  await page.fill('#message', 'Tell me a very long story.');
  await page.press('#message', 'Enter');
  await answers.nth(1).locator('.token').nth(3).waitFor();
  await shoot('writing');
  await page.getByRole('button', { name: 'Stop' }).click();
  await ended();
  const [{ messages }] = await stored();
  assert.equal(messages[3].finish, 'canceled');
  assert.equal(await textOf(answers.nth(1).locator('.text')), messages[3].content);
  assert.ok(await answers.nth(1).getByRole('button', { name: 'Continue' }).isVisible());
  await answers.nth(1).getByRole('button', { name: 'Continue' }).click();
  await ended();
  const [{ messages: [, , , whole] }] = await stored();
  assert.ok(whole.content.startsWith(messages[3].content));
  assert.notEqual(whole.finish, 'canceled');
});

await step('text is never taken for HTML', async () => {
  const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script><b>bold</b>';
  await page.getByRole('button', { name: 'New chat' }).click();
  await say(evil);
  assert.equal(await textOf(users.locator('.text')), evil);
  assert.equal(await page.locator('main img, main script, main b').count(), 0);
  assert.equal(await page.title(), 'Lille');
});

await step('the completion view continues a text', async () => {
  await page.getByRole('tab', { name: 'Complete' }).click();
  await page.fill('#prompt', 'The three primary colours are');
  await page.getByRole('button', { name: 'Continue', exact: true }).click();
  await page.locator('#complete-go').waitFor();
  const before = await tokensOf(page.locator('#continuation'));
  assert.ok(before.length > 3);
  await page.locator('#continuation .token').nth(2).hover();
  await page.locator('#alternatives button:enabled').first().waitFor();
  await shoot('completion');
  await page.locator('#alternatives button:enabled').first().click();
  await page.locator('#complete-go').waitFor();
  assert.deepEqual((await tokensOf(page.locator('#continuation'))).slice(0, 2), before.slice(0, 2));
  const text = await textOf(page.locator('#continuation'));
  await page.getByRole('button', { name: 'Add to the text' }).click();
  assert.equal(await page.inputValue('#prompt'), `The three primary colours are${text}`);
});

await step('the inside: a layer a row, and where a token looks', async () => {
  await page.fill('#prompt', 'The river ran down to the');
  await page.getByRole('button', { name: 'Look inside' }).first().click();
  const lens = page.locator('#inside-lens table');
  await lens.waitFor();
  const reply = await fetch(`${url}/v1/inspect`, { method: 'POST', body: JSON.stringify({ prompt: 'The river ran down to the' }) });
  const { tokens, layers, position } = await reply.json();
  assert.equal(await lens.locator('tbody tr').count(), layers.length + 1);
  assert.equal(await lens.locator('thead th').count(), tokens.length);
  assert.equal(position, tokens.length - 1);
  const last = await lens.locator('tbody tr').first().locator('td').last().textContent();
  assert.equal(last, layers.at(-1).predictions.at(-1)[0].token.replaceAll(' ', '\u2423'));
  assert.equal(await page.locator('#inside-attention thead th').count(), tokens.length);
  await shoot('inside');
  await lens.locator('tbody tr').nth(1).locator('td').nth(3).click();
  await page.waitForFunction(() => document.querySelectorAll('#inside-attention thead th').length === 4);
  assert.match(await page.locator('#inside-from').textContent(), /looks$/);
  await page.selectOption('#inside-head', '0');
  const weights = layers.length * 4;
  assert.equal(await page.locator('#inside-attention tbody td').count(), weights);
  await lens.locator('td[tabindex="0"]').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await page.waitForFunction((n) => document.querySelectorAll('#inside-attention thead th').length === n, tokens.length - 1);
  await page.getByRole('radio', { name: 'Dark' }).check();
  await shoot('inside-dark');
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await isTooWide(), false);
  await shoot('phone-inside');
  await page.setViewportSize({ width: 1400, height: 900 });
  await page.getByRole('radio', { name: 'Light' }).check();
});

await step('conversations are kept, exported, deleted and imported', async () => {
  await page.reload();
  await page.getByRole('tab', { name: 'Chat' }).click();
  const before = await stored();
  assert.equal(await page.locator('#conversations li').count(), 2);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export all' }).click();
  const path = await (await download).path();
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).format, 'lille-conversations');
  for (let n_left = 2; n_left > 0; --n_left) {
    await page.locator('#conversations li').first().hover();
    await page.locator('#conversations li').first().getByRole('button', { name: /^Delete/ }).click();
    await page.getByRole('button', { name: /^Really/ }).click();
  }
  assert.equal(await page.locator('#conversations li').count(), 0);
  await page.setInputFiles('#import-file', path);
  await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 2);
  const byIds = (all) => new Map(all.map(({ id, title, messages }) => [id, { title, messages }]));
  assert.deepEqual(byIds(await stored()), byIds(before));
  const chat = { format: 'lille-chat', version: 1, messages: [{ role: 'user', content: 'From the terminal' }] };
  await importText(JSON.stringify(chat));
  await page.waitForFunction(() => document.querySelectorAll('#conversations li').length === 3);
  await importText('[1');
  await page.getByText('This file is not JSON.').waitFor();
});

await step('light, dark and a phone', async () => {
  await page.locator('#conversations .title', { hasText: 'What is the sea?' }).click();
  for (const theme of ['Light', 'Dark']) {
    await page.getByRole('radio', { name: theme }).check();
    await shoot(theme.toLowerCase());
  }
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await isTooWide(), false);
  await shoot('phone-dark');
  await page.getByRole('button', { name: 'Settings' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'settings');
  await page.getByRole('radio', { name: 'Light' }).check();
  await shoot('phone-settings');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#settings').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'open-settings');
  await shoot('phone');
  await page.getByRole('tab', { name: 'Complete' }).click();
  assert.equal(await isTooWide(), false);
  await shoot('phone-completion');
  await page.getByRole('tab', { name: 'Chat' }).click();
  await page.setViewportSize({ width: 1400, height: 900 });
});

await step('everything has a name', async () => {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, input, textarea, select, [role="img"], [role="tab"]')]
      .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length))
      .map((one) => one.outerHTML),
  );
  assert.deepEqual(nameless, []);
});

await step('a server that is gone is said in words', async () => {
  server.kill('SIGTERM');
  await once(server, 'exit');
  await say('Are you there?');
  await page.getByText('The server does not answer. Is lille serve still running?').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Try again' }).isVisible());
  await shoot('error');
  forgive('ERR_CONNECTION_REFUSED');
});

await step('a server with a key asks for it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lille-page-'));
  const key = '0123456789abcdef';
  writeFileSync(join(folder, 'keys'), `${key}\n`);
  const other = await serve('--api-key-file', join(folder, 'keys'));
  rmSync(folder, { recursive: true });
  url = other.url;
  await page.goto(url);
  await page.getByText('This server asks for a key.').waitFor();
  await page.fill('#key', key);
  await page.press('#key', 'Enter');
  await page.waitForFunction(() => document.getElementById('model-name').textContent !== '');
  assert.equal(await page.locator('#chat-error .error').count(), 0);
  await say('What is a river?');
  assert.ok((await tokensOf(answers)).length > 0);
  other.server.kill('SIGTERM');
  forgive('status of 401');
});

await browser.close();
console.log('the page works');
