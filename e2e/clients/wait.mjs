// Waiting, never without a bound, and never without saying for what.

export { setTimeout as sleep } from 'node:timers/promises';

/** How long is waited for what has to come, in ms. */
export const WAIT = 30_000;

/**
 * The promise's result, or a failure that says what was awaited.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what
 * @param {number} [ms]
 * @param {() => string} [seen] what came instead, asked for on failure
 * @returns {Promise<T>}
 */
export function within(promise, what, ms = WAIT, seen) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`waited ${ms} ms for ${what}${seen ? `; seen: ${seen()}` : ''}`));
    const timer = setTimeout(late, ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Tries again until a result passes.
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} attempt
 * @param {(result: T) => boolean} passes
 * @returns {Promise<T>}
 */
export async function eventually(what, attempt, passes, ms = WAIT) {
  for (const end = Date.now() + ms; ;) {
    const result = await attempt();
    if (passes(result)) return result;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}; last seen: ${result}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * What happened, in order.
 * @template {{what: string}} Entry
 */
export class Journal {
  /** @type {Entry[]} */ entries = [];
  #waiting = new Set();

  /** @param {Entry} entry */
  add(entry) {
    const i = this.entries.push(entry) - 1;
    for (const w of this.#waiting) {
      if (w.match(entry, i)) {
        this.#waiting.delete(w);
        w.resolve(entry);
      }
    }
  }

  /**
   * The first entry that matches, of those there are and those to come.
   * @param {string} what
   * @param {(entry: Entry, i: number) => boolean} match
   * @returns {Promise<Entry>}
   */
  find(what, match, ms = WAIT) {
    const there = this.entries.find(match);
    if (there) return Promise.resolve(there);
    let waiting;
    const found = new Promise((resolve) => this.#waiting.add(waiting = { match, resolve }));
    return within(found, what, ms, () => this.tail()).finally(() => this.#waiting.delete(waiting));
  }

  /** The nth entry of a kind, counted from 1. */
  nth(n, kind, ms = WAIT) {
    let left = n;
    return this.find(`${kind} (number ${n})`, (e) => e.what === kind && --left === 0, ms);
  }

  first(kind, ms = WAIT) {
    return this.nth(1, kind, ms);
  }

  /** The nth entry of all. */
  reach(n, what, ms = WAIT) {
    return this.find(`${what} (number ${n})`, (_, i) => i === n - 1, ms);
  }

  all(kind) {
    return this.entries.filter((e) => e.what === kind);
  }

  count(kind) {
    return this.all(kind).length;
  }

  /** What happened of certain kinds, in order. */
  kinds(...kinds) {
    return this.entries.map((e) => e.what).filter((what) => kinds.includes(what));
  }

  tail() {
    const shown = this.entries.slice(-12).map((e) => JSON.stringify(e).slice(0, 160));
    return `${this.entries.length} entries, last ${shown.join(' ') || 'none'}`;
  }
}
