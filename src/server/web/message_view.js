// One message of a chat as an element, with what can be done with it.

import { action, announce, make } from './dom.js';
import { TokenView } from './token_view.js';

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce('Copied.');
  } catch {
    announce('This browser does not let the page copy.');
  }
}

function editor(message, onSave, onCancel) {
  const area = make('textarea', { rows: 3, 'aria-label': 'Your message' });
  area.value = message.content;
  const form = make(
    'form', { class: 'editor' },
    area,
    make('div', { class: 'row' }, make('button', { type: 'submit' }, 'Send'), action('Cancel', onCancel)),
  );
  const save = () => area.value.trim() && onSave(area.value);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    save();
  });
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') onCancel();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    save();
  });
  return { form, area };
}

/** A message of the user. `onEdit` gets the new text. */
export function userMessage(message, onEdit) {
  const text = make('div', { class: 'text' }, message.content);
  const edit = action('Edit', () => {
    const close = () => {
      form.replaceWith(text);
      actions.hidden = false;
      edit.focus();
    };
    const { form, area } = editor(message, onEdit, close);
    text.replaceWith(form);
    actions.hidden = true;
    area.focus();
  });
  const actions = make('div', { class: 'actions' }, edit, action('Copy', () => copy(message.content)));
  return make('article', { class: 'message user', 'aria-label': 'You' }, text, actions);
}

const kEnds = { length: 'The limit of tokens is reached.', canceled: 'Stopped.' };

/** An answer. */
export class AnswerView {
  element;
  #text = make('div', { class: 'text' });
  #actions = make('div', { class: 'actions' });
  #tokens = null;

  /**
   * @param message  {content, tokens, finish}
   * @param on       What to do: choose(n_kept, alternative), regenerate(), goOn().
   * @param is_last  Whether the answer can be made anew.
   */
  constructor(message, on, is_last) {
    this.message = message;
    this.on = on;
    this.is_last = is_last;
    this.element = make('article', { class: 'message answer', 'aria-label': 'Answer' }, this.#text, this.#actions);
    this.#tokens = new TokenView('Answer', on.choose);
    if (message.tokens.length === 0 && message.content) this.#text.append(message.content);
    else this.#text.append(this.#tokens.element);
    this.#tokens.add(message.tokens);
    this.finish();
  }

  /** More was made; the message has it already. */
  add(tokens) {
    this.element.classList.add('busy');
    this.#actions.hidden = true;
    this.#tokens.add(tokens);
  }

  /** Waits for what will be made. */
  begin() {
    this.add([]);
  }

  /** No more is made for the moment. */
  finish() {
    this.element.classList.remove('busy');
    const { message, on } = this;
    this.#actions.hidden = false;
    const end = kEnds[message.finish];
    this.#actions.replaceChildren(
      ...(end ? [make('span', { class: 'note dim' }, end)] : []),
      ...(end && this.is_last ? [action('Continue', on.goOn)] : []),
      ...(this.is_last ? [action('Regenerate', on.regenerate)] : []),
      action('Copy', () => copy(message.content)),
    );
  }

  /** Follows the check box of probabilities. */
  refresh() {
    this.#tokens.refresh();
  }
}
