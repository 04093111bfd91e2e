// The list of conversations beside the chat: choose, begin, delete, export, import.

import { action, announce, byId, make } from './dom.js';
import { asChatFile } from './conversations.js';

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const fileName = (title) => `${title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'chat'}.json`;

export class ConversationList {
  #store;
  #on;

  /**
   * @param store  ConversationStore
   * @param on     current(): the conversation that is shown; choose(conversation); begin(): a new one.
   */
  constructor(store, on) {
    this.#store = store;
    this.#on = on;
    byId('new-chat').addEventListener('click', () => on.begin());
    byId('export').addEventListener('click', () => download('lille-conversations.json', store.exported()));
    byId('import').addEventListener('click', () => byId('import-file').click());
    byId('import-file').addEventListener('change', () => this.#import());
    this.render();
  }

  /** Says something below the list. */
  note(text) {
    byId('list-note').textContent = text;
  }

  render() {
    const list = this.#store.list();
    byId('conversations').replaceChildren(...list.map((one) => this.#row(one)));
    byId('export').disabled = list.length === 0;
  }

  #row(conversation) {
    const { title } = conversation;
    const is_current = conversation === this.#on.current();
    return make(
      'li', { class: is_current ? 'current' : null },
      make('button', {
        type: 'button', class: 'title', title, 'aria-current': is_current ? 'true' : null,
        onclick: () => this.#on.choose(conversation),
      }, title),
      action('Save', () => download(fileName(title), asChatFile(conversation)), {
        'aria-label': `Save ${title} as a file for lille chat`, title: 'Save as a file for lille chat',
      }),
      action('Delete', (event) => this.#ask(event.target, conversation), { 'aria-label': `Delete ${title}` }),
    );
  }

  // The first click asks, the second deletes.
  async #ask(button, conversation) {
    if (button.dataset.asked) {
      // What is made for it is ended first: it would be kept again.
      if (conversation === this.#on.current()) await this.#on.begin();
      this.#store.remove(conversation);
      this.render();
      announce('Deleted.');
      byId('new-chat').focus();
      return;
    }
    button.dataset.asked = 'yes';
    button.textContent = 'Really?';
    button.setAttribute('aria-label', `Really delete ${conversation.title}?`);
    button.addEventListener('blur', () => this.render(), { once: true });
  }

  async #import() {
    const [file] = byId('import-file').files;
    byId('import-file').value = '';
    if (!file) return;
    try {
      const n_added = this.#store.importFrom(await file.text());
      this.note(`${n_added} ${n_added === 1 ? 'conversation' : 'conversations'} imported.`);
    } catch (error) {
      this.note(error.message);
    }
    this.render();
  }
}
