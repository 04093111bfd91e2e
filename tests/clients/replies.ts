// replies.js PROGRAM: replies and pieces of streams have the types of npm's `openai`, no field less and none more: by JSON
// schemas made of these types, and by the compiler, for which the replies are written as the TypeScript program typed.ts.
// Pieces come in their order, each once.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';
import { Server, step } from './server.js';

const [program = ''] = process.argv.slice(2);
const folder = dirname(fileURLToPath(import.meta.url));
const typesFile = join(folder, 'reply_types.ts');
const types = createGenerator({
  path: typesFile,
  tsconfig: join(folder, 'tsconfig.json'),
  additionalProperties: false,
  skipTypeCheck: true,
});
const ajv = new Ajv({ allErrors: true, strict: false });
const validators = new Map(
  ['ChatReply', 'ChatPiece', 'CompletionReply', 'EmbeddingReply', 'ModelReply', 'ModelsReply', 'ErrorReply'].map((type) => [
    type,
    ajv.compile(types.createSchema(type)),
  ]),
);
const typed: string[] = [];

// What docs/SERVER.md names beyond OpenAI's fields.
const kBeyond = new Set(['token_id', 'token_ids', 'top_token_ids']);

function check(type: string, whole: unknown): void {
  const reply: unknown = JSON.parse(JSON.stringify(whole, (key, value) => (kBeyond.has(key) ? undefined : value)));
  const validate = validators.get(type)!;
  assert.ok(validate(reply), `${type}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(reply)}`);
  typed.push(`export const reply_${typed.length}: types.${type} = ${JSON.stringify(reply)};`);
}

const server = await Server.start(program);
const post = (path: string, body: object) => fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) });
const kMessages = [{ role: 'user', content: 'What is a river?' }];
const kChat = { messages: kMessages, max_tokens: 5, seed: 1 };
const kText = { prompt: 'Once upon a time', max_tokens: 5, seed: 1 };

await step('replies have their types', async () => {
  const model = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: [{ id: string }] };
  check('ModelsReply', model);
  check('ModelReply', await (await fetch(`${server.url}/v1/models/${model.data[0].id}`)).json());
  const asked: [string, string, object][] = [
    ['ChatReply', '/v1/chat/completions', kChat],
    ['ChatReply', '/v1/chat/completions', { ...kChat, n: 2, logprobs: true, top_logprobs: 2 }],
    ['ChatReply', '/v1/chat/completions', { ...kChat, logprobs: true }],
    ['ChatReply', '/v1/chat/completions', { ...kChat, max_tokens: 0 }],
    ['CompletionReply', '/v1/completions', kText],
    ['CompletionReply', '/v1/completions', { ...kText, n: 2, best_of: 3 }],
    ['CompletionReply', '/v1/completions', { ...kText, logprobs: 0 }],
    ['EmbeddingReply', '/v1/embeddings', { input: 'A river' }],
  ];
  for (const [type, path, body] of asked) {
    const reply = await post(path, body);
    assert.equal(reply.status, 200, JSON.stringify(body));
    check(type, await reply.json());
  }
});

await step('errors have their type', async () => {
  const asked: [number, string, object][] = [
    [400, '/v1/chat/completions', { ...kChat, top_p: 2 }],
    [400, '/v1/completions', {}],
    [404, '/v1/completions', { ...kText, model: 'another' }],
    [404, '/v1/nothing', {}],
  ];
  for (const [status, path, body] of asked) {
    const reply = await post(path, body);
    assert.equal(reply.status, status);
    check('ErrorReply', await reply.json());
  }
});

// The pieces of a stream, which has [DONE] once, at its end.
async function pieces(path: string, body: object): Promise<any[]> {
  const reply = await post(path, { ...body, stream: true });
  assert.equal(reply.headers.get('content-type'), 'text/event-stream');
  const events = (await reply.text()).split('\n\n');
  assert.deepEqual(events.slice(-2), ['data: [DONE]', '']);
  return events.slice(0, -2).map((event) => JSON.parse(event.replace(/^data: /, '')));
}

// Once and in order for each answer: whose turn it is (in a chat), text, the end; then the usage, if it is asked for.
function checkOrder(all: any[], n: number, isChat: boolean, saysUsage: boolean): void {
  const answers = saysUsage ? all.slice(0, -1) : all;
  if (saysUsage) {
    assert.deepEqual(all.at(-1).choices, []);
    assert.ok(all.at(-1).usage.total_tokens > 0);
    for (const piece of answers) assert.equal(piece.usage, null);
  } else {
    for (const piece of all) assert.ok(!('usage' in piece));
  }
  for (const piece of all) assert.deepEqual([piece.id, piece.created, piece.model], [all[0].id, all[0].created, all[0].model]);
  const byIndex = new Map<number, any[]>();
  for (const { choices } of answers) {
    assert.equal(choices.length, 1);
    byIndex.set(choices[0].index, [...(byIndex.get(choices[0].index) ?? []), choices[0]]);
  }
  assert.deepEqual([...byIndex.keys()].sort(), Array.from({ length: n }, (_, index) => index));
  for (const choices of byIndex.values()) {
    const [first, last, between] = [choices[0], choices.at(-1), choices.slice(isChat ? 1 : 0, -1)];
    if (isChat) assert.deepEqual(first.delta, { role: 'assistant', content: '' });
    for (const { delta, text, finish_reason } of between) {
      assert.equal(finish_reason, null);
      assert.ok(isChat ? !('role' in delta) && delta.content !== undefined : text !== undefined);
    }
    assert.match(last.finish_reason, /^(stop|length)$/);
    assert.deepEqual(isChat ? last.delta : last.text, isChat ? {} : '');
  }
}

await step('pieces of streams have their types and their order', async () => {
  for (const n of [1, 2, 3, 4])
    for (const extra of [{}, { stream_options: { include_usage: true } }]) {
      const saysUsage = 'stream_options' in extra;
      const chat = await pieces('/v1/chat/completions', { ...kChat, ...extra, n, logprobs: n % 2 === 0 });
      for (const piece of chat) check('ChatPiece', piece);
      checkOrder(chat, n, true, saysUsage);
      const text = await pieces('/v1/completions', { ...kText, ...extra, n });
      checkOrder(text, n, false, saysUsage);
    }
});

await step('the compiler says so, too', async () => {
  const head = `import type * as types from './reply_types.js';`;
  // It is seen to notice a wrong one.
  const wrong = `// @ts-expect-error: no field is there\nexport const wrong: types.ModelReply = {};`;
  writeFileSync(join(folder, 'typed.ts'), [head, wrong, ...typed].join('\n'));
  const tsc = join(folder, '..', 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--strict', '--noEmit', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  const said = spawnSync(process.execPath, [tsc, ...options, 'typed.ts'], { cwd: folder, encoding: 'utf8' });
  assert.equal(said.status, 0, said.stdout);
});
await server.stop();
