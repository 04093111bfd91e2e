// The controls of sampling. An empty field leaves the choice to the model's own defaults.

import { byId, keep, make, recall } from './dom.js';

const kName = 'lille.sampling';

// name, label, least, most, step, help
const kControls = [
  ['temperature', 'Temperature', 0, 5, 0.05, '0 always takes the likeliest token'],
  ['top_p', 'Top p', 0, 1, 0.01, 'the likeliest that make up so much; 1 is all'],
  ['top_k', 'Top k', 0, 1000, 1, 'the likeliest so many; 0 is all'],
  ['min_p', 'Min p', 0, 1, 0.01, 'drops what is less than so much of the likeliest'],
  ['repetition_penalty', 'Repetition penalty', 0, 5, 0.05, 'above 1 avoids what was said'],
  ['max_tokens', 'Most tokens', 1, 100000, 1, 'of an answer; 256 unless said'],
  ['seed', 'Seed', 0, 4294967295, 1, 'the same seed gives the same answer'],
];

/** The fields of a request that the controls say. Fields with a wrong value are left out. */
export function sampling() {
  const fields = {};
  for (const [name] of kControls) {
    const input = byId(name);
    if (input.value !== '' && input.validity.valid) fields[name] = input.valueAsNumber;
  }
  return fields;
}

function row([name, label, min, max, step, help]) {
  const input = make('input', {
    id: name, type: 'number', inputmode: 'decimal', min, max, step: Number.isInteger(step) ? step : 'any',
    placeholder: 'default', 'aria-describedby': `${name}-help`,
  });
  return make(
    'div', { class: 'control' },
    make('label', { for: name }, label),
    input,
    make('p', { id: `${name}-help`, class: 'note dim' }, help),
  );
}

function check(input, [, label, min, max]) {
  const is_good = input.validity.valid;
  input.setAttribute('aria-invalid', String(!is_good));
  const help = byId(`${input.id}-help`);
  help.dataset.text ??= help.textContent;
  help.textContent = is_good ? help.dataset.text : `${label}: a number from ${min} to ${max}, please`;
  help.classList.toggle('wrong', !is_good);
}

/** Puts the controls into the page, as they were left. */
export function bindSampling() {
  const form = byId('sampling');
  const kept = recall(kName, {});
  form.addEventListener('submit', (event) => event.preventDefault());
  for (const control of kControls) {
    form.append(row(control));
    const input = byId(control[0]);
    if (Number.isFinite(kept[control[0]])) input.value = kept[control[0]];
    input.addEventListener('input', () => {
      check(input, control);
      keep(kName, sampling());
    });
  }
  byId('reset-sampling').addEventListener('click', () => {
    form.reset();
    for (const control of kControls) {
      byId(control[0]).value = '';
      check(byId(control[0]), control);
    }
    keep(kName, {});
  });
}
