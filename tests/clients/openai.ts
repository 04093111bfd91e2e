// openai.js PROGRAM KEY_FILE: npm's `openai` talks with `lille serve` as with OpenAI's own server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { kEndless, kOneAtATime, Server, step } from './server.js';

const [program = '', keyFile = ''] = process.argv.slice(2);
const kQuestion: OpenAI.Chat.Completions.ChatCompletionMessageParam[] = [{ role: 'user', content: 'What is a river?' }];
const kChat = { messages: kQuestion, max_tokens: 24, seed: 3 } as const;

let server = await Server.start(program);
const clientOf = (options = {}) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0, ...options });
let client = clientOf();
let model = '';

await step('models', async () => {
  const models: OpenAI.Models.Model[] = [];
  for await (const listed of client.models.list()) models.push(listed);
  assert.equal(models.length, 1);
  model = models[0]!.id;
  const one: OpenAI.Models.Model = await client.models.retrieve(model);
  assert.equal(one.id, model);
  await assert.rejects(client.models.retrieve('another'), OpenAI.NotFoundError);
});

await step('chat', async () => {
  const reply: OpenAI.Chat.Completions.ChatCompletion = await client.chat.completions.create({ model, ...kChat });
  const again = await client.chat.completions.create({ model, ...kChat });
  assert.equal(reply.object, 'chat.completion');
  assert.equal(reply.model, model);
  assert.equal(reply.choices.length, 1);
  assert.deepEqual(again.choices, reply.choices);
  assert.notEqual(again.id, reply.id);
  const { message, finish_reason } = reply.choices[0]!;
  assert.equal(message.role, 'assistant');
  assert.equal(message.refusal, null);
  assert.ok(message.content);
  assert.ok(finish_reason === 'stop' || finish_reason === 'length');
  const usage: OpenAI.CompletionUsage = reply.usage!;
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.ok(usage.completion_tokens > 0 && usage.completion_tokens <= 24);
});

await step('what a chat may have besides', async () => {
  const parts: OpenAI.Chat.Completions.ChatCompletionMessageParam[] = [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'What is ' }, { type: 'text', text: 'a river?' }] },
    { role: 'assistant', content: [{ type: 'text', text: 'Water.' }] },
    { role: 'user', content: 'What is a river?', name: 'anna' },
  ];
  const said = client.chat.completions.create({
    model,
    messages: parts,
    max_completion_tokens: 4,
    frequency_penalty: null,
    presence_penalty: 0.5,
    logit_bias: { '32764': -100 },
    response_format: { type: 'text' },
    stream: false,
    temperature: 0,
    top_p: null,
    user: 'anna',
    store: false,
    reasoning_effort: 'low',
  });
  const { data, response } = await said.withResponse();
  assert.equal(data.usage!.completion_tokens, 4);
  assert.equal(data.choices[0]!.finish_reason, 'length');
  assert.equal(response.headers.get('x-lille-ignored-fields'), 'reasoning_effort, store');
});

await step('answers in a stream, n = 1 to 4', async () => {
  for (const n of [1, 2, 3, 4]) {
    const whole = await client.chat.completions.create({ model, ...kChat, n });
    const stream = await client.chat.completions.create({
      model,
      ...kChat,
      n,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = Array.from({ length: n }, () => '');
    const ends = Array.from({ length: n }, (): string | null => null);
    const usages: OpenAI.CompletionUsage[] = [];
    for await (const chunk of stream) {
      const piece: OpenAI.Chat.Completions.ChatCompletionChunk = chunk;
      assert.equal(usages.length, 0, 'something follows the usage');
      if (piece.usage) usages.push(piece.usage);
      for (const { index, delta, finish_reason } of piece.choices) {
        assert.equal(ends[index], null, `${index} goes on after its end`);
        texts[index] += delta.content ?? '';
        ends[index] = finish_reason;
      }
    }
    assert.deepEqual(texts, whole.choices.map(({ message }) => message.content));
    assert.deepEqual(ends, whole.choices.map(({ finish_reason }) => finish_reason));
    assert.equal(usages.length, 1);
    assert.equal(usages[0]!.completion_tokens, whole.usage!.completion_tokens);
    assert.equal(usages[0]!.prompt_tokens, whole.usage!.prompt_tokens);
  }
});

await step('the helper that gathers a stream', async () => {
  const whole = await client.chat.completions.create({ model, ...kChat, logprobs: true, top_logprobs: 2 });
  let text = '';
  const runner = client.chat.completions.stream({ model, ...kChat, logprobs: true, top_logprobs: 2 });
  runner.on('content', (delta) => (text += delta));
  const reply = await runner.finalChatCompletion();
  assert.equal(text, whole.choices[0]!.message.content);
  assert.equal(reply.choices[0]!.message.content, text);
  assert.deepEqual(reply.choices[0]!.logprobs!.content, whole.choices[0]!.logprobs!.content);
});

await step('logprobs of a chat', async () => {
  const reply = await client.chat.completions.create({ model, ...kChat, temperature: 0, logprobs: true, top_logprobs: 3 });
  const { message, logprobs } = reply.choices[0]!;
  const tokens: OpenAI.Chat.Completions.ChatCompletionTokenLogprob[] = logprobs!.content!;
  assert.equal(Buffer.from(tokens.flatMap(({ bytes }) => bytes!)).toString(), message.content);
  for (const { token, logprob, top_logprobs } of tokens) {
    assert.ok(logprob <= 0);
    assert.equal(top_logprobs.length, 3);
    assert.deepEqual(top_logprobs.map((top) => top.logprob), top_logprobs.map((top) => top.logprob).sort((a, b) => b - a));
    assert.equal(token, top_logprobs[0]!.token, 'temperature 0 takes the likeliest');
  }
});

await step('stop', async () => {
  const chat = { model, messages: kQuestion, temperature: 0, max_tokens: 24 };
  const text = (await client.chat.completions.create(chat)).choices[0]!.message.content!;
  // From within one word into the next.
  const begin = text.indexOf(' ', text.length / 3) - 1;
  const stop = text.slice(begin, begin + 4);
  for (const said of [stop, ['nowhere at all', stop]]) {
    const choice = (await client.chat.completions.create({ ...chat, stop: said })).choices[0]!;
    assert.equal(choice.message.content, text.slice(0, text.indexOf(stop)));
    assert.equal(choice.finish_reason, 'stop');
  }
});

await step('structured output', async () => {
  const Pet = z.object({ kind: z.enum(['cat', 'dog']), age: z.number().int(), name: z.nullable(z.string().max(8)),
    tag: z.string().regex(/^[A-Z]{2}-\d{3}$/), day: z.iso.date(), weight: z.number().min(0.5).max(9.5), mail: z.email() });
  for (const seed of [1, 2, 3]) {
    const reply = await client.chat.completions.parse({
      model,
      ...kChat,
      seed,
      max_tokens: 200,
      temperature: 1.3,
      response_format: zodResponseFormat(Pet, 'pet'),
    });
    const choice = reply.choices[0]!;
    assert.equal(choice.finish_reason, 'stop');
    const { kind, age, tag, day, weight, mail }: z.infer<typeof Pet> = choice.message.parsed!;
    assert.ok(['cat', 'dog'].includes(kind) && Number.isInteger(age));
    assert.match(tag, /^[A-Z]{2}-\d{3}$/);
    assert.ok(!Number.isNaN(Date.parse(day)) && weight >= 0.5 && weight <= 9.5);
    assert.ok(z.email().safeParse(mail).success && z.iso.date().safeParse(day).success);
    assert.deepEqual(Object.keys(choice.message.parsed!), ['kind', 'age', 'name', 'tag', 'day', 'weight', 'mail']);
  }
  // Of these zod writes a format of its own beside the pattern.
  const Named = z.object({ code: z.string().startsWith('x-').max(8), end: z.string().endsWith('!').max(4),
    word: z.string().lowercase().max(8), id: z.nanoid() });
  const named = await client.chat.completions.create({
    model,
    ...kChat,
    max_tokens: 200,
    response_format: zodResponseFormat(Named, 'named'),
  });
  assert.equal(named.choices[0]!.finish_reason, 'stop');
  const { code, end, word, id } = JSON.parse(named.choices[0]!.message.content!) as z.infer<typeof Named>;
  assert.ok(code.startsWith('x-') && end.endsWith('!') && !/[A-Z]/.test(word) && z.nanoid().safeParse(id).success);
  const object = await client.chat.completions.create({
    model,
    ...kChat,
    response_format: { type: 'json_object' },
  });
  assert.ok(object.choices[0]!.message.content!.startsWith('{'));
  const refused = client.chat.completions.create({
    model,
    ...kChat,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'string', pattern: '(?=a)' } } },
  });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'response_format.json_schema.schema');
    return true;
  });
});

await step('completions', async () => {
  const body = { model, prompt: 'The river', temperature: 0, max_tokens: 6 };
  const plain: OpenAI.Completions.Completion = await client.completions.create(body);
  const echoed = await client.completions.create({ ...body, echo: true, logprobs: 2 });
  const choice: OpenAI.Completions.CompletionChoice = echoed.choices[0]!;
  assert.equal(choice.text, `The river${plain.choices[0]!.text}`);
  const { tokens, token_logprobs, top_logprobs, text_offset } = choice.logprobs!;
  assert.ok(tokens!.join('').startsWith(choice.text));
  assert.equal(token_logprobs!.length, tokens!.length);
  assert.equal(top_logprobs!.length, tokens!.length);
  assert.equal(text_offset![1], tokens![0]!.length);
  for (const top of top_logprobs!.slice(1)) assert.ok(Object.keys(top).length >= 2);
  const scored = await client.completions.create({ ...body, max_tokens: 0, echo: true, logprobs: 0 });
  assert.equal(scored.choices[0]!.text, 'The river');
  assert.deepEqual(scored.choices[0]!.logprobs!.token_logprobs, token_logprobs!.slice(0, scored.choices[0]!.logprobs!.tokens!.length));
  const many = await client.completions.create({ ...body, prompt: [[464, 7850], [464]], n: 2, best_of: 3, seed: 1 });
  assert.deepEqual(many.choices.map(({ index }) => index), [0, 1, 2, 3]);
  let text = '';
  for await (const piece of await client.completions.create({ ...body, stream: true })) text += piece.choices[0]!.text;
  assert.equal(text, plain.choices[0]!.text);
});

await step('embeddings', async () => {
  const input = ['A river', 'A mountain'];
  // Unless told otherwise, the client asks for base64 and unpacks it.
  const packed: OpenAI.Embeddings.CreateEmbeddingResponse = await client.embeddings.create({ model, input });
  const plain = await client.embeddings.create({ model, input, encoding_format: 'float' });
  assert.equal(plain.data.length, 2);
  assert.ok(plain.data[0]!.embedding.length > 0);
  assert.deepEqual(
    packed.data.map(({ embedding }) => [...embedding]),
    plain.data.map(({ embedding }) => embedding.map(Math.fround)),
  );
});

await step('errors have the class that stands for their status', async () => {
  const wrong = async (body: object) => {
    try {
      await client.chat.completions.create({ model, ...kChat, ...body });
    } catch (error) {
      return error as InstanceType<typeof OpenAI.APIError>;
    }
    throw new Error(`not refused: ${JSON.stringify(body)}`);
  };
  const bad = await wrong({ top_p: 2 });
  assert.ok(bad instanceof OpenAI.BadRequestError);
  assert.equal(bad.param, 'top_p');
  assert.equal(bad.type, 'invalid_request_error');
  assert.match(bad.message, /from 0 to 1/);
  assert.ok(bad.requestID);
  const missing = await wrong({ model: 'gpt-4' });
  assert.ok(missing instanceof OpenAI.NotFoundError);
  assert.equal(missing.code, 'model_not_found');
  const long = await wrong({ messages: [{ role: 'user', content: 'river '.repeat(600) }] });
  assert.ok(long instanceof OpenAI.BadRequestError);
  assert.equal(long.code, 'context_length_exceeded');
  const foreign = clientOf({ defaultHeaders: { Origin: 'https://example.org' } });
  await assert.rejects(async () => foreign.models.list(), OpenAI.PermissionDeniedError);
});

await server.stop();
server = await Server.start(program, '--api-key-file', keyFile);
await step('keys', async () => {
  await assert.rejects(async () => clientOf({ apiKey: 'a-key-that-is-not-in-the-file' }).models.list(), OpenAI.AuthenticationError);
  const [apiKey] = readFileSync(keyFile, 'utf8').trim().split('\n');
  assert.equal((await clientOf({ apiKey }).models.list()).data.length, 1);
});

await server.stop();
server = await Server.start(program, ...kOneAtATime);
client = clientOf();
await step('a full queue, and an answer that is left', async () => {
  const stream = await client.chat.completions.create({ model, messages: kQuestion, ...kEndless, stream: true });
  let n_pieces = 0;
  for await (const _ of stream) {
    if (++n_pieces > 3) break;
    // More answers wait than may: the next has no place.
    await assert.rejects(client.chat.completions.create({ model, ...kChat }), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.equal(error.code, 'queue_full');
      assert.ok(Number(error.headers.get('retry-after')) > 0);
      return true;
    });
  }
  // Leaving the loop aborts the request.
  const metrics = await server.idle();
  assert.ok(metrics.get('lille_answers_canceled_total')! > 0);
  assert.equal(metrics.get('lille_answers_finished_total')! + metrics.get('lille_answers_canceled_total')!, kEndless.n);
  assert.equal((await client.chat.completions.create({ model, ...kChat })).choices.length, 1);
});

await step('an abort by signal, and one before the first byte', async () => {
  const canceled = async () => (await server.metrics()).get('lille_answers_canceled_total')!;
  const before = await canceled();
  const controller = new AbortController();
  const stream = await client.chat.completions.create({ model, messages: kQuestion, ...kEndless, stream: true }, { signal: controller.signal });
  for await (const _ of stream) controller.abort();
  await server.idle();
  const between = await canceled();
  assert.ok(between > before);
  const whole = new AbortController();
  const reply = client.chat.completions.create({ model, messages: kQuestion, ...kEndless }, { signal: whole.signal });
  await server.until((metrics) => metrics.get('lille_answers_running') === 1);
  whole.abort();
  await assert.rejects(reply, OpenAI.APIUserAbortError);
  await server.idle();
  assert.ok((await canceled()) > between);
});
await server.stop();
