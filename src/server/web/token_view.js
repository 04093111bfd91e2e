// A text as its tokens: colour says how likely each was, and the alternatives appear at the pointer or the focus.

import { alternatives } from './alternatives.js';
import { announce, make, recall } from './dom.js';
import { kShades, percent, shadeOf, spoken, UnitBuilder } from './tokens.js';

/** Whether probabilities are shown; the check box under Settings says so. */
export const showsTokens = () => document.documentElement.dataset.tokens !== 'off';

export class TokenView {
  /** The element to put into the page. */
  element = make('div', { class: 'tokens', role: 'group' });
  #tokens = [];
  #units = [];
  #builder = new UnitBuilder();
  #choose;

  /**
   * @param label   What the text is, for screen readers.
   * @param choose  Called with (n_kept, alternative): how many tokens stay, and what comes instead of the next.
   */
  constructor(label, choose) {
    this.#choose = choose;
    this.element.setAttribute('aria-label', label);
    this.element.setAttribute('aria-describedby', 'tokens-help');
    this.element.addEventListener('pointerover', (event) => this.#show(event.target));
    this.element.addEventListener('pointerout', () => alternatives.hideSoon());
    this.element.addEventListener('click', (event) => this.#show(event.target));
    this.element.addEventListener('focusin', (event) => this.#onFocus(event.target));
    this.element.addEventListener('keydown', (event) => this.#onKey(event));
    this.refresh();
  }

  /** Follows the check box. */
  refresh() {
    if (showsTokens()) this.element.tabIndex = 0;
    else this.element.removeAttribute('tabindex');
  }

  add(tokens) {
    for (const token of tokens) {
      this.#tokens.push(token);
      const unit = this.#builder.add(token);
      if (!unit) continue;
      const first = this.#tokens[unit.first];
      const span = make('span', { class: `token shade${shadeOf(first.logprob)}`, tabindex: '-1' }, unit.text);
      this.#units.push({ span, first: unit.first });
      this.element.append(span);
    }
  }

  #unitOf(span) {
    return this.#units.find((unit) => unit.span === span);
  }

  #show(span) {
    const unit = showsTokens() && this.#unitOf(span);
    if (!unit) return;
    alternatives.show(span, this.#tokens[unit.first], (one) => this.#choose(unit.first, one));
  }

  #onFocus(span) {
    const unit = showsTokens() && this.#unitOf(span);
    if (!unit) return;
    this.#show(span);
    const token = this.#tokens[unit.first];
    const others = token.top.filter(({ text }) => text !== token.text).slice(0, 2);
    const said = [token, ...others].map((one) => `${spoken(one.text)} ${percent(one.logprob)}`);
    announce(said.join(', '));
  }

  #onKey(event) {
    if (!showsTokens() || this.#units.length === 0) return;
    const idx = this.#units.findIndex(({ span }) => span === document.activeElement);
    const last = this.#units.length - 1;
    const target = { ArrowRight: idx + 1, ArrowLeft: Math.max(idx, 1) - 1, Home: 0, End: last }[event.key];
    if (target !== undefined) this.#units[Math.min(target, last)].span.focus();
    else if (event.key === 'Enter' && idx >= 0) alternatives.enter();
    else if (event.key === 'Escape') alternatives.hide();
    else return;
    event.preventDefault();
  }
}

/** Fills in what the shades mean. */
export function fillLegend(place) {
  const texts = kShades.map((least, shade) => (least > 0 ? `${shade === 0 ? '\u2265 ' : ''}${100 * least} %` : 'less'));
  place.append(...texts.map((text, shade) => make('span', { class: `token shade${shade}` }, text)));
}

/** Turns the colours on or off, as they were left. */
export function bindTokenSwitch(box, onChange) {
  const root = document.documentElement;
  box.checked = recall('lille.tokens', true);
  const apply = () => {
    root.dataset.tokens = box.checked ? 'on' : 'off';
    localStorage.setItem('lille.tokens', JSON.stringify(box.checked));
    alternatives.hide();
    onChange();
  };
  box.addEventListener('change', apply);
  apply();
}
