// Where the page begins: it makes the parts and tells them of each other.

import { ask, useKey } from './api.js';
import { ChatView } from './chat.js';
import { CompletionView } from './completion.js';
import { ConversationList } from './conversation_list.js';
import { ConversationStore } from './conversations.js';
import { byId, make, showError } from './dom.js';
import { InsideView } from './inside.js';
import { bindLayout, setDrawer, showView } from './layout.js';
import { bindSampling } from './sampling.js';
import { speed } from './speed.js';
import { bindTokenSwitch, fillLegend } from './token_view.js';

const kPrompts = [
  'What is a river?',
  'Explain in two sentences why the sky is blue.',
  'Write a short story about a lighthouse.',
];

const store = new ConversationStore(() => list.render());

const chat = new ChatView(store, {
  changed: () => list.render(),
  full: () => list.note('This browser has no more room. Export the conversations and delete some of them.'),
  needsKey,
});
const inside = new InsideView(needsKey);
const completion = new CompletionView(needsKey, (text) => {
  showView('inside');
  inside.look(text);
});
const list = new ConversationList(store, {
  current: () => chat.conversation,
  choose: open,
  begin: () => open(store.create()),
});

async function open(conversation) {
  showView('chat');
  setDrawer('list', false);
  await chat.show(conversation);
  list.render();
  chat.focus();
}

function needsKey() {
  byId('key-section').hidden = false;
  setDrawer('settings', true);
  byId('key').focus();
}

function describe({ id, max_model_len: n_tokens }) {
  byId('model-name').textContent = id;
  byId('empty-title').textContent = id;
  byId('empty-text').textContent =
    `A small language model that runs on the machine which serves this page. It reads up to ${n_tokens} tokens at a time, ` +
    'writes in English, and makes things up: check what it says.';
}

async function loadModel() {
  try {
    describe((await ask('/v1/models')).data[0]);
    showError(byId('chat-error'), '');
  } catch (error) {
    showError(byId('chat-error'), error.message, loadModel);
    if (error.status === 401) needsKey();
  }
}

bindLayout();
bindSampling();
fillLegend(byId('legend'));
bindTokenSwitch(byId('show-tokens'), () => {
  chat.refresh();
  completion.refresh();
});
byId('prompts').append(
  ...kPrompts.map((text) => make('li', {}, make('button', { type: 'button', onclick: () => chat.send(text) }, text))),
);
byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  useKey(byId('key').value);
  setDrawer('settings', false);
  loadModel();
});
speed.draw();
await chat.show(store.list()[0] ?? store.create());
list.render();
await loadModel();
