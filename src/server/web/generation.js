// The three ways in which this page has text made: an answer to a chat, the rest of an answer, the rest of a text.
// Each yields {text, tokens, finish} as it is made (tokens.js).

import { ask, stream } from './api.js';
import { isMark, kAlternatives, pieceOf } from './tokens.js';

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

/** Goes on with an answer to the last message that begins with `kept`. */
export async function* continueAnswer(messages, kept, sampling, signal) {
  const chat = await ask('/v1/tokenize', { messages: forApi(messages) }, signal);
  const answer = kept ? await ask('/v1/tokenize', { prompt: kept, bos: false }, signal) : { tokens: [] };
  const body = { ...sampling, overflow: 'trim-turns', logprobs: kAlternatives };
  yield* pieces('/v1/completions', { ...body, prompt: [...chat.tokens, ...answer.tokens] }, signal);
}

/** Goes on with a text. */
export async function* continueText(prompt, sampling, signal) {
  const body = { ...sampling, overflow: 'truncate-left', logprobs: kAlternatives };
  yield* pieces('/v1/completions', { ...body, prompt }, signal);
}
