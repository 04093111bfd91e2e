// The chat view: the messages of one conversation, the answer that is made, and the field for the next message.

import { byId, showError } from './dom.js';
import { answerChat, continueAnswer } from './generation.js';
import { AnswerView, userMessage } from './message_view.js';
import { run, stopRun } from './run.js';
import { sampling } from './sampling.js';
import { isMark, textOf } from './tokens.js';

const kNearEnd_px = 80;

// Where there is a keyboard; on a phone one would come up and cover the text.
const focusField = () => matchMedia('(hover: hover)').matches && byId('message').focus();

export class ChatView {
  #store;
  #on;
  #conversation;
  #views = [];
  #n_runs = 0;

  /**
   * @param store  ConversationStore
   * @param on     changed(conversation): it was kept; full(): there was no room; needsKey().
   */
  constructor(store, on) {
    this.#store = store;
    this.#on = on;
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#sendField();
    });
    byId('message').addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#sendField();
    });
    byId('message').addEventListener('input', () => this.#fitField());
    byId('stop').addEventListener('click', () => {
      stopRun();
      focusField();
    });
    addEventListener('pagehide', () => this.#n_runs > 0 && this.#keep());
  }

  get conversation() {
    return this.#conversation;
  }

  /** Shows another conversation. What is made for this one is stopped and stays as far as it came. */
  async show(conversation) {
    await stopRun();
    this.#conversation = conversation;
    this.#store.opened = conversation;
    showError(byId('chat-error'), '');
    this.#render();
    byId('chat-scroll').scrollTop = byId('chat-scroll').scrollHeight;
  }

  /** Lets the next message be typed. */
  focus() {
    focusField();
  }

  /** Says something to the model. */
  async send(text) {
    await stopRun();
    this.#conversation.messages.push({ role: 'user', content: text });
    await this.#answer();
  }

  /** Follows the check box of probabilities. */
  refresh() {
    for (const view of this.#views) view.refresh();
  }

  #sendField() {
    const field = byId('message');
    if (!field.value.trim()) return;
    const text = field.value;
    field.value = '';
    this.#fitField();
    this.send(text);
  }

  #fitField() {
    const field = byId('message');
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + 2}px`;
  }

  #render() {
    const { messages } = this.#conversation;
    byId('empty').hidden = messages.length > 0;
    this.#views = [];
    byId('messages').replaceChildren(
      ...messages.map((message, idx) => {
        if (message.role === 'user') return userMessage(message, (text) => this.#edit(idx, text));
        const on = {
          choose: (n_kept, one) => this.#choose(idx, n_kept, one),
          regenerate: () => this.#regenerate(),
          goOn: () => this.#goOn(idx, message.tokens, message.content),
        };
        this.#views.push(new AnswerView(message, on, idx === messages.length - 1));
        return this.#views.at(-1).element;
      }),
    );
  }

  async #edit(idx, text) {
    await stopRun();
    this.#conversation.messages.splice(idx);
    await this.send(text);
    focusField();
  }

  async #regenerate() {
    await stopRun();
    const { messages } = this.#conversation;
    if (messages.at(-1)?.role === 'assistant') messages.pop();
    focusField();
    await this.#answer();
  }

  // The first n_kept tokens of an answer stay, and the alternative comes after them.
  async #choose(idx, n_kept, alternative) {
    await stopRun();
    const { tokens } = this.#conversation.messages[idx];
    const kept = tokens.slice(0, n_kept);
    const is_end = isMark(alternative.text);
    if (!is_end) kept.push({ ...alternative, top: tokens[n_kept].top });
    this.#conversation.messages.splice(idx + 1);
    if (!is_end) return this.#goOn(idx, kept, textOf(kept));
    this.#conversation.messages[idx] = { role: 'assistant', content: textOf(kept), tokens: kept, finish: 'stop' };
    this.#render();
    this.#keep();
  }

  async #goOn(idx, tokens, content) {
    await stopRun();
    const { messages } = this.#conversation;
    messages[idx] = { role: 'assistant', content, tokens: [...tokens], finish: null };
    focusField();
    const before = messages.slice(0, idx);
    await this.#make((signal) => continueAnswer(before, content, tokens, sampling(), signal));
  }

  async #answer() {
    const { messages } = this.#conversation;
    const before = [...messages];
    messages.push({ role: 'assistant', content: '', tokens: [], finish: null });
    await this.#make((signal) => answerChat(before, sampling(), signal));
  }

  // Adds what is made to the last message.
  async #make(makePieces) {
    const conversation = this.#conversation;
    const message = conversation.messages.at(-1);
    this.#render();
    const view = this.#views.at(-1);
    view.begin();
    this.#setBusy(true);
    this.#keep(conversation);
    showError(byId('chat-error'), '');
    this.#scroll(true);
    const onPiece = ({ text, tokens }) => {
      message.content += text;
      message.tokens.push(...tokens);
      view.add(tokens);
      this.#scroll(false);
    };
    await run(makePieces, onPiece, (end) => {
      this.#setBusy(false);
      message.finish = end.finish;
      // Nothing was made: as if it had not been asked.
      if (message.content === '' && end.finish !== 'stop') {
        conversation.messages = conversation.messages.filter((one) => one !== message);
        view.element.remove();
      }
      view.finish();
      this.#scroll(false);
      this.#keep(conversation);
      if (end.error) this.#fail(end, makePieces, message);
    });
  }

  #fail({ error, status }, makePieces, message) {
    const retry = () => {
      const { messages } = this.#conversation;
      if (messages.at(-1) !== message) messages.push(message);
      this.#make(makePieces);
    };
    showError(byId('chat-error'), error, message.content ? () => this.#regenerate() : retry);
    if (status === 401) this.#on.needsKey();
    this.#scroll(true);
  }

  #setBusy(is_busy) {
    this.#n_runs += is_busy ? 1 : -1;
    byId('send').hidden = this.#n_runs > 0;
    byId('stop').hidden = this.#n_runs === 0;
  }

  #keep(conversation = this.#conversation) {
    if (!this.#store.save(conversation)) this.#on.full();
    this.#on.changed(conversation);
  }

  // Follows the end of the text unless the reader has gone up.
  #scroll(always) {
    const box = byId('chat-scroll');
    const distance = box.scrollHeight - box.scrollTop - box.clientHeight;
    if (always || distance < kNearEnd_px) box.scrollTop = box.scrollHeight;
  }
}
