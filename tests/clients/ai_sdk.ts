// ai_sdk.js PROGRAM: Vercel's AI SDK, by its provider for servers like OpenAI's, talks with `lille serve`.
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateObject, generateText, streamObject, streamText } from 'ai';
import { z } from 'zod';
import { kEndless, kOneAtATime, Server, step } from './server.js';

const [program = ''] = process.argv.slice(2);
let server = await Server.start(program);
const providerOf = () => createOpenAICompatible({ name: 'lille', baseURL: `${server.url}/v1`, includeUsage: true });
const id = ((await (await fetch(`${server.url}/v1/models`)).json()) as { data: [{ id: string }] }).data[0].id;
const kPrompt = { prompt: 'What is a river?', maxOutputTokens: 24, seed: 3, maxRetries: 0 } as const;
let provider = providerOf();
let whole = '';

await step('generateText', async () => {
  const said = await generateText({ model: provider(id), system: 'Be brief.', ...kPrompt, stopSequences: ['nowhere at all'] });
  whole = (await generateText({ model: provider(id), ...kPrompt })).text;
  assert.ok(said.text && whole);
  assert.ok(said.finishReason === 'stop' || said.finishReason === 'length');
  assert.equal(said.usage.totalTokens, said.usage.inputTokens! + said.usage.outputTokens!);
  assert.equal(said.response.modelId, id);
  assert.deepEqual(said.warnings, []);
});

await step('streamText', async () => {
  const said = streamText({ model: provider(id), ...kPrompt });
  let text = '';
  for await (const piece of said.textStream) text += piece;
  assert.equal(text, whole);
  const usage = await said.usage;
  assert.ok(usage.outputTokens! > 0 && usage.outputTokens! <= 24);
  assert.match(await said.finishReason, /^(stop|length)$/);
});

await step('a conversation', async () => {
  const messages = [
    { role: 'user' as const, content: 'What is a river?' },
    { role: 'assistant' as const, content: whole },
    { role: 'user' as const, content: [{ type: 'text' as const, text: 'Why?' }] },
  ];
  const said = await generateText({ model: provider(id), messages, maxOutputTokens: 8, maxRetries: 0 });
  assert.ok(said.usage.inputTokens! > 10);
});

await step('completions and embeddings', async () => {
  assert.ok((await generateText({ model: provider.completionModel(id), ...kPrompt })).text);
  const { embeddings } = await embedMany({ model: provider.textEmbeddingModel(id), values: ['A river', 'A mountain'], maxRetries: 0 });
  assert.equal(embeddings.length, 2);
  assert.equal(embeddings[0]!.length, embeddings[1]!.length);
});

await step('objects', async () => {
  const lille = createOpenAICompatible({ name: 'lille', baseURL: `${server.url}/v1`, supportsStructuredOutputs: true });
  const schema = z.object({ kind: z.enum(['river', 'lake']), is_salty: z.boolean() });
  const asked = { model: lille(id), schema, prompt: kPrompt.prompt, maxOutputTokens: 100, maxRetries: 0 };
  const { object } = await generateObject(asked);
  schema.parse(object);
  let last: unknown;
  for await (const partial of streamObject(asked).partialObjectStream) last = partial;
  schema.parse(last);
});

await step('errors', async () => {
  await assert.rejects(generateText({ model: provider('another'), ...kPrompt }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /the model that is served/);
    return true;
  });
});

await server.stop();
server = await Server.start(program, ...kOneAtATime);
provider = providerOf();
await step('an abort frees the place', async () => {
  const controller = new AbortController();
  const { n, max_tokens, logit_bias } = kEndless;
  const said = streamText({
    model: provider(id),
    prompt: kPrompt.prompt,
    maxOutputTokens: max_tokens,
    providerOptions: { lille: { n, logit_bias } },
    abortSignal: controller.signal,
  });
  for await (const _ of said.textStream) controller.abort();
  assert.ok((await server.idle()).get('lille_answers_canceled_total')! > 0);
});
await server.stop();
