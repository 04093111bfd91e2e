// The panel beside a token: how likely it was, what else the model considered, and a button for each alternative.

import { byId, make } from './dom.js';
import { bytesOf, isMark, percent, spoken, visible } from './tokens.js';

const kGap = 6;
const kHideDelay_ms = 250;

/** The one panel of the page. It belongs to the token that it was last shown for. */
class Alternatives {
  #panel = make('div', { id: 'alternatives', class: 'alternatives', role: 'dialog', hidden: true });
  #anchor = null;
  #timer = 0;

  constructor() {
    document.body.insertBefore(this.#panel, byId('status'));
    this.#panel.addEventListener('pointerenter', () => clearTimeout(this.#timer));
    this.#panel.addEventListener('pointerleave', () => this.hideSoon());
    this.#panel.addEventListener('keydown', (event) => this.#onKey(event));
    this.#panel.addEventListener('focusout', (event) => {
      if (!this.#panel.contains(event.relatedTarget) && event.relatedTarget !== this.#anchor) this.hide();
    });
    addEventListener('resize', () => this.hide());
    addEventListener('scroll', () => this.#follow(), true);
    document.addEventListener('pointerdown', (event) => {
      if (!this.#panel.contains(event.target) && event.target !== this.#anchor) this.hide();
    });
  }

  /** Shows a token's alternatives below its element; `choose` gets the one that is chosen. */
  show(anchor, token, choose) {
    clearTimeout(this.#timer);
    this.#anchor?.classList.remove('current');
    this.#anchor = anchor;
    anchor.classList.add('current');
    this.#panel.setAttribute('aria-label', `Alternatives to ${spoken(token.text)}`);
    const rows = token.top.some((one) => one.text === token.text) ? token.top : [token, ...token.top];
    this.#panel.replaceChildren(
      make('ul', {}, ...rows.map((one) => this.#row(one, one.text === token.text, choose))),
    );
    this.#panel.hidden = false;
    this.#place(anchor);
  }

  #row(one, isTaken, choose) {
    // A part of a character is no text that the answer could begin to show.
    const isPart = one.text.startsWith('bytes:') && bytesOf(one.text).length > 0;
    const what = isMark(one.text) ? 'End the answer here' : `Continue from ${spoken(one.text)}`;
    const label = isTaken ? `${spoken(one.text)}, taken` : isPart ? spoken(one.text) : what;
    const bar = make('span', { class: 'share', 'aria-hidden': 'true' });
    bar.style.width = `${100 * Math.exp(one.logprob)}%`;
    const button = make(
      'button',
      {
        type: 'button',
        disabled: isTaken || isPart,
        class: isTaken ? 'taken' : null,
        'aria-label': `${label}, ${percent(one.logprob)}`,
        onclick: () => {
          this.hide();
          choose(one);
        },
      },
      bar,
      make('code', {}, visible(one.text)),
      make('span', { class: 'number' }, percent(one.logprob)),
    );
    return make('li', {}, button);
  }

  #place(anchor) {
    // Of a token that goes over two lines the first part counts.
    const box = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
    const { width, height } = this.#panel.getBoundingClientRect();
    const left = Math.max(kGap, Math.min(box.left, innerWidth - width - kGap));
    const isBelow = box.bottom + kGap + height <= innerHeight;
    const top = isBelow ? box.bottom + kGap : Math.max(kGap, box.top - kGap - height);
    this.#panel.style.left = `${left}px`;
    this.#panel.style.top = `${top}px`;
  }

  /** Moves the focus to the first alternative. */
  enter() {
    this.#panel.querySelector('button:enabled')?.focus();
  }

  hide() {
    clearTimeout(this.#timer);
    this.#anchor?.classList.remove('current');
    this.#anchor = null;
    this.#panel.hidden = true;
  }

  /** Hides it unless the pointer comes to it, or the keyboard is used. */
  hideSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const focused = document.activeElement;
      if (focused !== this.#anchor && !this.#panel.contains(focused)) this.hide();
    }, kHideDelay_ms);
  }

  // Stays beside its token while the text moves.
  #follow() {
    if (this.#anchor?.isConnected) this.#place(this.#anchor);
    else this.hide();
  }

  #onKey(event) {
    const buttons = [...this.#panel.querySelectorAll('button:enabled')];
    const idx = buttons.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape') {
      // The token shows it when it gets the focus.
      this.#anchor?.focus();
      this.hide();
    } else if (step) {
      buttons[(idx + step + buttons.length) % buttons.length]?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

export const alternatives = new Alternatives();
