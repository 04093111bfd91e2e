// Requests to the server that this page came from (docs/SERVER.md), and their errors in words.

const kKeyName = 'lille.key';

/** A request that was not answered. `message` is a sentence for people; `status` is HTTP's, 0 without a reply. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Keeps the key of a server that asks for one, as long as this tab is open. */
export function useKey(key) {
  sessionStorage.setItem(kKeyName, key);
}

function inWords(status, said) {
  if (status === 401) return 'This server asks for a key. Enter it under Settings, then try again.';
  if (status === 429) return 'The server is busy: too many answers are waiting. Try again in a moment.';
  if (status === 503) return 'The server takes no requests at the moment. Try again in a moment.';
  return said || `The server answered with status ${status}.`;
}

// Of [where] field: expected ..., the part in brackets is for logs.
const withoutPlace = (message) => message.replace(/^\[[^\]]*\] /, '');

async function errorOf(reply) {
  let said = '';
  try {
    said = withoutPlace((await reply.json()).error.message);
  } catch {
    // Not from lille serve: the status has to do.
  }
  return new ApiError(inWords(reply.status, said), reply.status);
}

async function send(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(kKeyName);
  if (key) headers.Authorization = `Bearer ${key}`;
  const options = { headers, signal };
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
    Object.assign(options, { method: 'POST', body: JSON.stringify(body) });
  }
  let reply;
  try {
    reply = await fetch(path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError('The server does not answer. Is lille serve still running?', 0);
  }
  if (!reply.ok) throw await errorOf(reply);
  return reply;
}

/** Posts JSON (or gets, without a body) and returns the reply's JSON. */
export async function ask(path, body, signal) {
  return (await send(path, body, signal)).json();
}

// The data of each event of a reply, as they come.
async function* events(reply, signal) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  try {
    while (true) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError('The connection to the server broke in the middle of the answer.', 0);
      }
      if (piece.done) return;
      const parts = (pending + piece.value).split('\n\n');
      pending = parts.pop();
      for (const part of parts) if (part.startsWith('data: ')) yield part.slice('data: '.length);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Posts JSON and yields the events of the stream that answers; returns at its end, throws ApiError without one. */
export async function* stream(path, body, signal) {
  for await (const data of events(await send(path, { ...body, stream: true }, signal), signal)) {
    if (data === '[DONE]') return;
    const event = JSON.parse(data);
    if (event.error) throw new ApiError(withoutPlace(event.error.message), 0);
    yield event;
  }
  throw new ApiError('The answer ended before it was complete.', 0);
}
