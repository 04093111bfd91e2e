// Tokens as data: what the API says of them, their bytes, the characters they make together. No element is made here.
// A token is {text, logprob, id, top}: its text as the API writes it ("bytes:\xe2" where the bytes are no character), the
// natural logarithm of its probability, its number, and the likeliest tokens of its place as {text, logprob, id}, the
// likeliest first. What was stored without numbers has none.

/** How many alternatives are asked for at each token. */
export const kAlternatives = 6;

const kEncoder = new TextEncoder();
const byLikelihood = (left, right) => right.logprob - left.logprob;
const token = (text, logprob, id, top) => ({ text, logprob, id, top: top.sort(byLikelihood) });

function chatTokens(logprobs) {
  return (logprobs?.content ?? []).map((one) =>
    token(
      one.token,
      one.logprob,
      one.token_id,
      one.top_logprobs.map(({ token: text, logprob, token_id: id }) => ({ text, logprob, id })),
    ),
  );
}

function completionTokens(logprobs) {
  return (logprobs?.tokens ?? []).map((text, idx) =>
    token(
      text,
      logprobs.token_logprobs[idx] ?? 0,
      logprobs.token_ids[idx],
      Object.entries(logprobs.top_logprobs[idx] ?? {}).map(([text, logprob]) => ({
        text,
        logprob,
        id: logprobs.top_token_ids[idx][text],
      })),
    ),
  );
}

/** What an event of a stream adds to the answer: {text, tokens, finish}; finish is null until its end. */
export function pieceOf(event) {
  const choice = event.choices[0] ?? {};
  return {
    text: choice.delta?.content ?? choice.text ?? '',
    tokens: choice.delta ? chatTokens(choice.logprobs) : completionTokens(choice.logprobs),
    finish: choice.finish_reason ?? null,
  };
}

/** Whether a token is a mark such as <|endoftext|>, which is no text. */
export const isMark = (text) => /^<\|\w+\|>$/.test(text);

/** A token's bytes. */
export function bytesOf(text) {
  if (!text.startsWith('bytes:')) return kEncoder.encode(text);
  return Uint8Array.from(text.matchAll(/\\x([0-9a-f]{2})/g), (match) => parseInt(match[1], 16));
}

/** The text that tokens make together. */
export function textOf(tokens) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return tokens.map(({ text }) => decoder.decode(bytesOf(text), { stream: true })).join('') + decoder.decode();
}

/** The numbers of tokens, or null if one is not known. */
export function idsOf(tokens) {
  const ids = tokens.map(({ id }) => id);
  return ids.every(Number.isInteger) ? ids : null;
}

/** Puts tokens together until they make whole characters. Each unit is {text, first, n_tokens}. */
export class UnitBuilder {
  #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #first = 0;
  #n_tokens = 0;

  /** The unit that a token completes, or null. */
  add(one) {
    this.#n_tokens += 1;
    const text = this.#decoder.decode(bytesOf(one.text), { stream: true });
    if (!text) return null;
    const unit = { text, first: this.#first, n_tokens: this.#n_tokens };
    this.#first += this.#n_tokens;
    this.#n_tokens = 0;
    return unit;
  }
}

/** "43 %", "0.2 %", "< 0.1 %" */
export function percent(logprob) {
  const value = 100 * Math.exp(logprob);
  if (value < 0.1) return '< 0.1 %';
  return `${value >= 99.95 ? '100' : value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** The least probability of each shade, the surest first; shade 0 has no colour. */
export const kShades = [0.6, 0.3, 0.1, 0.02, 0];

/** Which shade a token has. */
export const shadeOf = (logprob) => kShades.findIndex((least) => Math.exp(logprob) >= least);

/** A token for people: spaces and line ends become visible. */
export function visible(text) {
  if (isMark(text)) return 'end of the answer';
  if (text.startsWith('bytes:')) return 'part of a character';
  return text.replaceAll('\n', '\u21b5').replaceAll('\t', '\u21e5').replaceAll(' ', '\u2423');
}

/** The same to be read aloud. */
export function spoken(text) {
  if (isMark(text) || text.startsWith('bytes:')) return visible(text);
  return text.trim() || (text.includes('\n') ? 'new line' : 'space');
}

const round = (logprob) => Math.round(logprob * 1000) / 1000;

/** Tokens in the short form that is stored: [text, logprob, [text, logprob, ...], [id, id, ...]], the own id first. */
export const pack = (tokens) =>
  tokens.map(({ text, logprob, id, top }) => [
    text,
    round(logprob),
    top.flatMap((one) => [one.text, round(one.logprob)]),
    ...(idsOf([{ id }, ...top]) ? [[id, ...top.map((one) => one.id)]] : []),
  ]);

/** Tokens of the stored form; none if it is not one. */
export function unpack(packed) {
  const isPair = (text, logprob) => typeof text === 'string' && Number.isFinite(logprob);
  const tokens = [];
  if (!Array.isArray(packed)) return tokens;
  for (const one of packed) {
    if (!Array.isArray(one) || !isPair(one[0], one[1]) || !Array.isArray(one[2])) return [];
    const ids = Array.isArray(one[3]) && one[3].every(Number.isInteger) ? one[3] : [];
    const top = [];
    for (let idx = 0; idx + 1 < one[2].length; idx += 2) {
      if (!isPair(one[2][idx], one[2][idx + 1])) return [];
      top.push({ text: one[2][idx], logprob: one[2][idx + 1], id: ids[1 + idx / 2] });
    }
    tokens.push({ text: one[0], logprob: one[1], id: ids[0], top });
  }
  return tokens;
}
