// The chart of tokens per second, drawn while an answer is made.

import { byId, make } from './dom.js';

const kWidth = 300;
const kHeight = 80;
const kWindow_tokens = 12;
const kLeast_tokens = 4;
const kMaxPoints = 150;
const kSvg = 'http://www.w3.org/2000/svg';

const oneDigit = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

/** The rate over the last tokens at each of them: [seconds since the first, tokens per second]. */
export function ratesOf(times_ms) {
  const points = [];
  for (let idx = kLeast_tokens; idx < times_ms.length; ++idx) {
    const from = Math.max(0, idx - kWindow_tokens);
    const elapsed_ms = times_ms[idx] - times_ms[from];
    if (elapsed_ms > 0) points.push([(times_ms[idx] - times_ms[0]) / 1000, (1000 * (idx - from)) / elapsed_ms]);
  }
  const step = Math.ceil(points.length / kMaxPoints) || 1;
  return points.filter((_, idx) => (points.length - 1 - idx) % step === 0);
}

class Speed {
  #start_ms = 0;
  #times_ms = [];
  #is_drawing = false;

  /** An answer was asked for. */
  start() {
    this.#start_ms = performance.now();
    this.#times_ms = [];
    this.#drawSoon();
  }

  /** So many tokens came. */
  add(n_tokens) {
    for (let idx = 0; idx < n_tokens; ++idx) this.#times_ms.push(performance.now());
    if (n_tokens > 0) this.#drawSoon();
  }

  #drawSoon() {
    if (this.#is_drawing) return;
    this.#is_drawing = true;
    requestAnimationFrame(() => {
      this.#is_drawing = false;
      this.draw();
    });
  }

  draw() {
    const times = this.#times_ms;
    const elapsed_s = times.length > 1 ? (times.at(-1) - times[0]) / 1000 : 0;
    const mean = elapsed_s > 0 ? (times.length - 1) / elapsed_s : 0;
    const points = ratesOf(times);
    const most = Math.max(1, ...points.map(([, rate]) => rate));
    const x = (seconds) => (kWidth * seconds) / (elapsed_s || 1);
    const y = (rate) => kHeight - 4 - ((kHeight - 12) * rate) / most;
    const line = document.createElementNS(kSvg, 'polyline');
    const corners = points.map(([seconds, rate]) => `${x(seconds).toFixed(1)},${y(rate).toFixed(1)}`);
    line.setAttribute('points', corners.join(' '));
    const middle = document.createElementNS(kSvg, 'line');
    for (const [name, value] of Object.entries({ x1: 0, x2: kWidth, y1: y(mean), y2: y(mean), class: 'mean' }))
      middle.setAttribute(name, value);
    byId('speed-chart').replaceChildren(...(mean > 0 ? [middle, line] : []));
    const latest = points.at(-1)?.[1] ?? mean;
    const summary = mean > 0 ? `${oneDigit(mean)} on average, ${oneDigit(latest)} at the end` : 'no answer yet';
    byId('speed-chart').setAttribute('aria-label', `Tokens per second: ${summary}`);
    this.#fillFigures(mean, latest);
  }

  #fillFigures(mean, latest) {
    const times = this.#times_ms;
    const none = '\u2013';
    const figures = [
      ['tokens/s, mean', mean > 0 ? oneDigit(mean) : none],
      ['latest', mean > 0 ? oneDigit(latest) : none],
      ['tokens', times.length || none],
      ['first token', times.length > 0 ? `${oneDigit(times[0] - this.#start_ms)} ms` : none],
    ];
    byId('speed-figures').replaceChildren(
      ...figures.map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, String(value)))),
    );
  }
}

export const speed = new Speed();
