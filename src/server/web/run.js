// One thing at a time is made: the run that is under way, and how it ends.

import { ApiError } from './api.js';
import { SentenceAnnouncer, announce } from './dom.js';
import { speed } from './speed.js';

let current = null;

/** Ends what is under way, if anything is, and returns when it has ended. */
export async function stopRun() {
  current?.controller.abort();
  await current?.ended.catch(() => {});
}

async function work(makePieces, controller, onPiece) {
  const announcer = new SentenceAnnouncer();
  speed.start();
  announce('Writing.');
  let finish = null;
  try {
    for await (const piece of makePieces(controller.signal)) {
      speed.add(piece.tokens.length);
      announcer.add(piece.text);
      onPiece(piece);
      finish = piece.finish ?? finish;
    }
    return { finish, error: '' };
  } catch (error) {
    if (controller.signal.aborted) return { finish: 'canceled', error: '' };
    if (error instanceof ApiError) return { finish: null, error: error.message, status: error.status };
    console.error(error);
    return { finish: null, error: `This page failed: ${error.message}` };
  } finally {
    announcer.finish();
  }
}

/**
 * Makes something, after what is under way was stopped.
 * @param makePieces  Called with an AbortSignal; returns the pieces (generation.js).
 * @param onPiece     Called with each of them.
 * @param onEnd       Called with {finish, error, status}: how it ended, or why it failed in words. Whoever stops this run
 *                    goes on after that.
 */
export async function run(makePieces, onPiece, onEnd) {
  await stopRun();
  const controller = new AbortController();
  const mine = { controller, ended: work(makePieces, controller, onPiece).then(onEnd) };
  current = mine;
  try {
    await mine.ended;
  } finally {
    if (current === mine) current = null;
  }
}
