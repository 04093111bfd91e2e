// The three ways in which this page has text made: an answer to a chat, the rest of an answer, the rest of a text.
// Each yields {text, tokens, finish} as it is made (tokens.js).

import { ask, stream } from './api.js';
import { idsOf, isMark, kAlternatives, pieceOf, textOf } from './tokens.js';

async function* pieces(path, body, signal) {
  for await (const event of stream(path, body, signal)) {
    const piece = pieceOf(event);
    // Completions list the token that ends an answer, which is no text.
    piece.tokens = piece.tokens.filter(({ text }) => !isMark(text));
    yield piece;
  }
}

// An answer that was stopped before its first token is none.
const forApi = (messages) =>
  messages.filter(({ content }) => content !== '').map(({ role, content }) => ({ role, content }));

/** Answers the last message. */
export async function* answerChat(messages, sampling, signal) {
  const body = { ...sampling, overflow: 'trim-turns', logprobs: true, top_logprobs: kAlternatives };
  yield* pieces('/v1/chat/completions', { ...body, messages: forApi(messages) }, signal);
}

// The ids of a text, of which `kept` are the last tokens: where their ids are known, they are not cut anew.
async function idsOfText(text, kept, fields, signal) {
  const tail = textOf(kept);
  const ids = text.endsWith(tail) ? idsOf(kept) : null;
  const rest = ids ? text.slice(0, text.length - tail.length) : text;
  const cut = rest ? (await ask('/v1/tokenize', { prompt: rest, ...fields }, signal)).tokens : [];
  return [...cut, ...(ids ?? [])];
}

/** Goes on with an answer to the last message that begins with `content`, of which `kept` are the tokens as far as known. */
export async function* continueAnswer(messages, content, kept, sampling, signal) {
  const chat = await ask('/v1/tokenize', { messages: forApi(messages) }, signal);
  const answer = await idsOfText(content, kept, { bos: false }, signal);
  const body = { ...sampling, overflow: 'trim-turns', logprobs: kAlternatives };
  yield* pieces('/v1/completions', { ...body, prompt: [...chat.tokens, ...answer] }, signal);
}

/** Goes on with a text, of which `kept` are the last tokens. */
export async function* continueText(text, kept, sampling, signal) {
  const prompt = kept.length > 0 ? await idsOfText(text, kept, {}, signal) : text;
  const body = { ...sampling, overflow: 'truncate-left', logprobs: kAlternatives };
  yield* pieces('/v1/completions', { ...body, prompt }, signal);
}
