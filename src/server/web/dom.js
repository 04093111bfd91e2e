// What every part of the page makes its elements with. Text becomes text nodes only, never HTML.

/** The element with an id of index.html. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. Attributes named on... are listeners; null and false leave an attribute out, true sets it empty.
 * Children are nodes or texts.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A quiet button with a text and what it does. */
export const action = (text, onclick, attributes = {}) =>
  make('button', { type: 'button', class: 'quiet', onclick, ...attributes }, text);

/** Shows an error in words with a way to try again, or nothing without a message. */
export function showError(place, message, onRetry) {
  place.replaceChildren();
  if (!message) return;
  place.append(
    make('div', { class: 'error', role: 'alert' }, make('p', {}, message), action('Try again', onRetry)),
  );
}

/** Tells a text to screen readers, after what they are saying. */
export function announce(text) {
  const line = make('p', {}, text);
  byId('status').append(line);
  while (byId('status').childElementCount > 20) byId('status').firstChild.remove();
}

/** Announces an answer that is being made, a sentence at a time. */
export class SentenceAnnouncer {
  #pending = '';

  add(text) {
    this.#pending += text;
    const end = this.#pending.search(/[.!?:\n]["')\]]?\s[^]*$/);
    if (end < 0) return;
    announce(this.#pending.slice(0, end + 1));
    this.#pending = this.#pending.slice(end + 1);
  }

  finish() {
    if (this.#pending.trim()) announce(this.#pending);
    this.#pending = '';
  }
}

/** Reads a value of localStorage; the fallback if there is none or it cannot be read. */
export function recall(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keeps a value in localStorage. Returns whether there was room. */
export function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
