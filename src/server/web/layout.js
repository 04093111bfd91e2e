// What is shown where: the views, the drawers of small screens, light and dark.

import { byId, keep, recall } from './dom.js';

const kViews = ['chat', 'complete', 'inside'];
const kDrawers = ['list', 'settings'];

/** Shows one of kViews. */
export function showView(name) {
  for (const one of kViews) {
    byId(one).hidden = one !== name;
    byId(`tab-${one}`).setAttribute('aria-selected', String(one === name));
    byId(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  document.documentElement.dataset.view = name;
  keep('lille.view', name);
}

function bindTabs() {
  kViews.forEach((name, idx) => {
    byId(`tab-${name}`).addEventListener('click', () => showView(name));
    byId(`tab-${name}`).addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const other = kViews[(idx + step + kViews.length) % kViews.length];
      showView(other);
      byId(`tab-${other}`).focus();
    });
  });
  const last = recall('lille.view', 'chat');
  showView(kViews.includes(last) ? last : 'chat');
}

/** Opens or closes a drawer; on wide screens both always stand open and this changes nothing that is seen. */
export function setDrawer(name, is_open) {
  const drawer = byId(name);
  if (drawer.classList.contains('open') === is_open) return;
  drawer.classList.toggle('open', is_open);
  byId(`open-${name}`).setAttribute('aria-expanded', String(is_open));
  byId('main').inert = is_open && getComputedStyle(drawer).position === 'fixed';
  if (is_open) drawer.focus();
}

function bindDrawers() {
  for (const name of kDrawers) {
    byId(`open-${name}`).addEventListener('click', () => {
      const is_open = byId(name).classList.contains('open');
      for (const one of kDrawers) setDrawer(one, one === name && !is_open);
    });
    byId(name).addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !byId(name).classList.contains('open')) return;
      setDrawer(name, false);
      byId(`open-${name}`).focus();
    });
  }
  document.addEventListener('pointerdown', (event) => {
    if (event.target.closest('.side, .bar, .alternatives')) return;
    for (const name of kDrawers) setDrawer(name, false);
  });
  // The width of style.css at which the drawers stand beside the text. (Not at every new size: a keyboard that comes up
  // on a phone is one, too.)
  matchMedia('(max-width: 68rem)').addEventListener('change', () => {
    for (const name of kDrawers) setDrawer(name, false);
  });
}

function bindTheme() {
  const apply = (theme) => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  const theme = recall('lille.theme', 'auto');
  apply(theme);
  for (const input of byId('theme').querySelectorAll('input')) {
    input.checked = input.value === theme;
    input.addEventListener('change', () => {
      apply(input.value);
      keep('lille.theme', input.value);
    });
  }
}

export function bindLayout() {
  bindTabs();
  bindDrawers();
  bindTheme();
}
