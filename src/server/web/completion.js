// The completion view: a text, what the model makes of it, and the way back into the text.

import { byId, keep, recall, showError } from './dom.js';
import { continueText } from './generation.js';
import { run, stopRun } from './run.js';
import { sampling } from './sampling.js';
import { TokenView } from './token_view.js';
import { isMark, textOf } from './tokens.js';

const kName = 'lille.completion';
const kFirstText = 'Once upon a time there was a small river that';
const kEnds = { stop: 'The model ended the text here.', length: 'The limit of tokens is reached.', canceled: 'Stopped.' };

export class CompletionView {
  #needsKey;
  #view;
  #tokens = [];
  #text = '';
  #n_runs = 0;

  /**
   * @param needsKey  Called when the server asks for a key.
   * @param inspect   Called with a text that somebody wants to look into.
   */
  constructor(needsKey, inspect) {
    this.#needsKey = needsKey;
    byId('prompt').value = recall(kName, kFirstText);
    byId('prompt').addEventListener('input', () => keep(kName, byId('prompt').value));
    byId('complete-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#start([], '');
    });
    byId('prompt').addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#start([], '');
    });
    byId('complete-stop').addEventListener('click', () => stopRun());
    byId('complete-take').addEventListener('click', () => this.#take());
    byId('complete-clear').addEventListener('click', () => this.#clear());
    byId('complete-inside').addEventListener('click', () => inspect(byId('prompt').value + this.#text));
    this.#show([]);
  }

  /** Follows the check box of probabilities. */
  refresh() {
    this.#view.refresh();
  }

  #show(tokens) {
    this.#tokens = tokens;
    this.#view = new TokenView('Continuation', (n_kept, one) => this.#choose(n_kept, one));
    this.#view.add(tokens);
    byId('continuation').replaceChildren(this.#view.element);
    byId('continuation-end').textContent = '';
    this.#enable();
  }

  #enable() {
    const has_text = this.#text !== '';
    byId('continuation-empty').hidden = has_text || this.#n_runs > 0;
    byId('continuation').hidden = !has_text && this.#n_runs === 0;
    byId('complete-take').disabled = byId('complete-clear').disabled = !has_text || this.#n_runs > 0;
    byId('complete-go').hidden = this.#n_runs > 0;
    byId('complete-stop').hidden = this.#n_runs === 0;
  }

  // Goes on after the text and `kept`, which the continuation begins with.
  async #start(tokens, kept) {
    await stopRun();
    const prompt = byId('prompt').value + kept;
    if (!prompt) return byId('prompt').focus();
    this.#text = kept;
    this.#n_runs += 1;
    this.#show([...tokens]);
    showError(byId('complete-error'), '');
    byId('continuation').classList.add('busy');
    await run(
      (signal) => continueText(prompt, tokens, sampling(), signal),
      (piece) => {
        this.#text += piece.text;
        this.#tokens.push(...piece.tokens);
        this.#view.add(piece.tokens);
      },
      (end) => this.#finish(end, () => this.#start(tokens, kept)),
    );
  }

  #finish({ finish, error, status }, retry) {
    this.#n_runs -= 1;
    if (this.#n_runs === 0) byId('continuation').classList.remove('busy');
    byId('continuation-end').textContent = kEnds[finish] ?? '';
    this.#enable();
    if (error) showError(byId('complete-error'), error, retry);
    if (status === 401) this.#needsKey();
  }

  async #choose(n_kept, alternative) {
    await stopRun();
    const kept = this.#tokens.slice(0, n_kept);
    if (!isMark(alternative.text)) {
      kept.push({ ...alternative, top: this.#tokens[n_kept].top });
      byId('complete-stop').focus();
      return this.#start(kept, textOf(kept));
    }
    this.#text = textOf(kept);
    this.#show(kept);
  }

  #take() {
    byId('prompt').value += this.#text;
    keep(kName, byId('prompt').value);
    this.#clear();
    byId('prompt').focus();
    byId('prompt').scrollTop = byId('prompt').scrollHeight;
  }

  #clear() {
    this.#text = '';
    this.#show([]);
  }
}
