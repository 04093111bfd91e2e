// The view of the model's inside: what each layer would say next after each token, and where one token looks.

import { ask } from './api.js';
import { announce, byId, keep, make, recall, showError } from './dom.js';
import { isMark, percent, visible } from './tokens.js';

const kName = 'lille.inside';
const kFirstText = 'The river ran down to the';
// A token as a label; marks such as <|startoftext|>, of which there are several, by their names.
const label = (text) => (isMark(text) ? text.slice(2, -2) : visible(text));

const kSteps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// A table of tokens by layers of which one cell at a time is in the order of Tab; arrow keys go on from there.
class LayerTable {
  #cells = [];

  /**
   * @param tokens    Texts over the columns.
   * @param rows      {name, cells} from the top, each cell {text, strength from 0 to 1, says}.
   * @param onChoose  Called with the row and the column of a cell that is pointed at, chosen or reached.
   */
  constructor(caption, tokens, rows, onChoose) {
    const head = make('tr', {}, make('td', {}), ...tokens.map((text) => make('th', { scope: 'col' }, label(text))));
    const body = make('tbody', {});
    rows.forEach(({ name, cells }, row_idx) => {
      this.#cells.push(
        cells.map(({ text, strength, says }, column) => {
          const cell = make('td', { tabindex: -1, 'aria-label': says, title: says }, text);
          cell.style.setProperty('--strength', strength.toFixed(3));
          cell.addEventListener('click', () => onChoose(row_idx, column));
          cell.addEventListener('keydown', (event) => this.#onKey(event, row_idx, column, onChoose));
          return cell;
        }),
      );
      body.append(make('tr', {}, make('th', { scope: 'row' }, name), ...this.#cells.at(-1)));
    });
    this.#cells[0].at(-1).tabIndex = 0;
    this.element = make('table', { class: 'layers' }, make('caption', { class: 'hidden' }, caption), make('thead', {}, head), body);
  }

  /** Marks the column that stands for a token. */
  mark(column) {
    for (const row of this.#cells) row.forEach((cell, idx) => cell.classList.toggle('current', idx === column));
  }

  #onKey(event, row_idx, column, onChoose) {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      return onChoose(row_idx, column);
    }
    const [down, right] = kSteps[event.key] ?? [0, 0];
    const next = this.#cells[row_idx + down]?.[column + right];
    if ((!down && !right) || !next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

// The likeliest next tokens as a sentence for the title of a cell.
const inWords = (likeliest) => likeliest.map(({ token, logprob }) => `${label(token)} ${percent(logprob)}`).join(', ');

function lensRows({ layers, embedding }) {
  const row = (name, { predictions }) => ({
    name,
    cells: predictions.map((likeliest) => ({
      text: label(likeliest[0].token),
      strength: Math.exp(likeliest[0].logprob),
      says: inWords(likeliest),
    })),
  });
  return [...layers.map((layer, idx) => row(String(idx + 1), layer)).reverse(), row('Embedding', embedding)];
}

function attentionRows({ layers, tokens }, head) {
  return layers
    .map(({ attention }, layer_idx) => {
      const heads = head === null ? attention : [attention[head]];
      const weights = heads[0].map((_, idx) => heads.reduce((sum, one) => sum + one[idx], 0) / heads.length);
      const cells = weights.map((weight, idx) => ({
        text: weight >= 0.1 ? (100 * weight).toFixed(0) : '',
        strength: weight,
        says: `${label(tokens[idx].token)} ${percent(Math.log(weight))}`,
      }));
      return { name: String(layer_idx + 1), cells };
    })
    .reverse();
}

export class InsideView {
  #needsKey;
  #text = '';
  #inspection = null;
  #lens = null;
  #n_asked = 0;

  /** @param needsKey  Called when the server asks for a key. */
  constructor(needsKey) {
    this.#needsKey = needsKey;
    byId('inside-text').value = recall(kName, kFirstText);
    byId('inside-text').addEventListener('input', () => keep(kName, byId('inside-text').value));
    byId('inside-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#look();
    });
    byId('inside-head').addEventListener('change', () => this.#showAttention());
  }

  /** Looks at a text of another view. */
  look(text) {
    byId('inside-text').value = text;
    keep(kName, text);
    this.#look();
  }

  async #look() {
    this.#text = byId('inside-text').value;
    if (!this.#text) return byId('inside-text').focus();
    const inspection = await this.#ask({});
    if (!inspection) return;
    byId('inside-result').hidden = false;
    this.#inspection = inspection;
    this.#lens = new LayerTable(
      'What each layer would say next, the last layer first',
      inspection.tokens.map(({ token }) => token),
      lensRows(inspection),
      (row_idx, column) => this.#choose(column),
    );
    byId('inside-lens').replaceChildren(this.#lens.element);
    byId('inside-lens').scrollLeft = byId('inside-lens').scrollWidth;
    const heads = inspection.layers[0].attention.map((_, idx) => make('option', { value: idx }, `Head ${idx + 1}`));
    byId('inside-head').replaceChildren(make('option', { value: '' }, 'All heads, their mean'), ...heads);
    this.#showAttention();
    announce(`${inspection.tokens.length} tokens, ${inspection.layers.length} layers.`);
  }

  async #choose(position) {
    if (position === this.#inspection.position) return;
    const inspection = await this.#ask({ position });
    if (!inspection) return;
    this.#inspection = inspection;
    this.#showAttention();
  }

  // The inspection of the text, or null if it failed or something later was asked.
  async #ask(options) {
    const mine = ++this.#n_asked;
    showError(byId('inside-error'), '');
    byId('inside-go').disabled = true;
    try {
      const inspection = await ask('/v1/inspect', { prompt: this.#text, ...options });
      return mine === this.#n_asked ? inspection : null;
    } catch (error) {
      showError(byId('inside-error'), error.message, () => this.#look());
      if (error.status === 401) this.#needsKey();
      return null;
    } finally {
      byId('inside-go').disabled = false;
    }
  }

  #showAttention() {
    const { tokens, position } = this.#inspection;
    const head = byId('inside-head').value === '' ? null : Number(byId('inside-head').value);
    const table = new LayerTable(
      'How much of its attention each layer gives to each token, in percent, the last layer first',
      tokens.slice(0, position + 1).map(({ token }) => token),
      attentionRows(this.#inspection, head),
      () => {},
    );
    byId('inside-from').textContent = `Where \u201c${label(tokens[position].token)}\u201d looks`;
    byId('inside-attention').replaceChildren(table.element);
    byId('inside-attention').scrollLeft = byId('inside-attention').scrollWidth;
    this.#lens.mark(position);
  }
}
