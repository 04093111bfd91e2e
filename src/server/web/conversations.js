// Conversations as data, kept in this browser's localStorage, and as files.
// A conversation is {id, title, changed, messages}; a message {role, content} and, of an answer, tokens (tokens.js) and
// finish: "stop", "length", "canceled" or null for one that failed.

import { keep, recall } from './dom.js';
import { pack, unpack } from './tokens.js';

const kName = 'lille.conversations';
const kFileFormat = 'lille-conversations';
const kChatFormat = 'lille-chat';
const kTitleChars = 60;
const kFinishes = ['stop', 'length', 'canceled'];

// crypto.randomUUID is there on secure origins alone, and a server in the house is none.
const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('-');

const packed = (conversation) => ({
  ...conversation,
  messages: conversation.messages.map(({ tokens, ...message }) =>
    tokens?.length ? { ...message, tokens: pack(tokens) } : message,
  ),
});

function messageOf(stored, before) {
  const { role, content } = stored ?? {};
  if ((role !== 'user' && role !== 'assistant') || typeof content !== 'string') return null;
  if (role === 'assistant' && before?.role !== 'user') return null;
  if (role === 'user') return { role, content };
  const finish = kFinishes.includes(stored.finish) ? stored.finish : null;
  return { role, content, tokens: unpack(stored.tokens), finish };
}

// The conversation that a stored one says; null if it is none.
function unpacked(stored) {
  if (!Array.isArray(stored?.messages)) return null;
  const messages = [];
  for (const one of stored.messages) {
    const message = messageOf(one, messages.at(-1));
    if (!message) return null;
    messages.push(message);
  }
  return {
    id: typeof stored.id === 'string' ? stored.id : newId(),
    title: typeof stored.title === 'string' ? stored.title.slice(0, kTitleChars) : titleOf(messages),
    changed: Number.isFinite(stored.changed) ? stored.changed : Date.now(),
    messages,
  };
}

function titleOf(messages) {
  const text = (messages[0]?.content ?? '').replace(/\s+/g, ' ').trim();
  return text.length > kTitleChars ? `${text.slice(0, kTitleChars - 3)}...` : text || 'New chat';
}

/** All conversations of this browser, the one changed last first. */
export class ConversationStore {
  /** The conversation that this tab shows; other tabs do not change it. */
  opened = null;
  #all = [];

  /** @param onChange  Called when another tab changed something. */
  constructor(onChange) {
    this.#read();
    addEventListener('storage', ({ key }) => {
      if (key !== kName) return;
      this.#read();
      onChange();
    });
  }

  #read() {
    const stored = recall(kName, []);
    const read = (Array.isArray(stored) ? stored : []).map(unpacked).filter((one) => one);
    this.#all = read.map((one) => (one.id === this.opened?.id ? this.opened : one));
  }

  list() {
    return [...this.#all].sort((left, right) => right.changed - left.changed);
  }

  find(id) {
    return this.#all.find((one) => one.id === id);
  }

  /** A new one, which is kept from its first message on. */
  create() {
    return { id: newId(), title: 'New chat', changed: Date.now(), messages: [] };
  }

  /**
   * Keeps a conversation as it is. Where there is no room, the tokens of the oldest answers are given up first.
   * @returns whether there was room.
   */
  save(conversation) {
    conversation.changed = Date.now();
    conversation.title = titleOf(conversation.messages);
    if (!this.#all.includes(conversation)) this.#all.push(conversation);
    return this.#write();
  }

  #write() {
    const oldest = this.list().reverse();
    while (!keep(kName, this.#all.map(packed))) {
      const heavy = oldest.flatMap(({ messages }) => messages).find(({ tokens }) => tokens?.length);
      if (!heavy) return false;
      heavy.tokens = [];
    }
    return true;
  }

  remove(conversation) {
    this.#all = this.#all.filter((one) => one !== conversation);
    this.#write();
  }

  /** Every conversation as the text of a file. */
  exported() {
    return `${JSON.stringify({ format: kFileFormat, version: 1, conversations: this.list().map(packed) }, null, 1)}\n`;
  }

  /**
   * Adds the conversations of a file: one of exported(), or one that `lille chat` saved.
   * @returns how many were added.
   * @throws Error with a sentence for a file that is neither; nothing is added then.
   */
  importFrom(text) {
    let file;
    try {
      file = JSON.parse(text);
    } catch {
      throw new Error('This file is not JSON.');
    }
    if (file?.format !== kFileFormat && file?.format !== kChatFormat)
      throw new Error('This file holds no conversations of this page or of lille chat.');
    if (file.version !== 1) throw new Error('This file was written by a newer version.');
    const all = file.format === kChatFormat ? [file] : file.conversations;
    if (!Array.isArray(all)) throw new Error('This file is damaged; nothing was imported.');
    const found = all.map(unpacked);
    const wrong = found.findIndex((one) => !one);
    if (wrong >= 0) throw new Error(`Conversation ${wrong + 1} of this file is damaged; nothing was imported.`);
    for (const one of found) {
      // The same file twice gives everything twice rather than to overwrite what went on here.
      if (this.find(one.id)) one.id = newId();
      this.#all.push(one);
    }
    if (!this.#write()) throw new Error('This browser has no room for them: they are gone when the page is closed.');
    return found.length;
  }
}

/** One conversation in the form that `lille chat` loads. */
export function asChatFile({ messages }) {
  const plain = messages.filter(({ content }) => content !== '').map(({ role, content }) => ({ role, content }));
  return `${JSON.stringify({ format: kChatFormat, version: 1, messages: plain }, null, 1)}\n`;
}
