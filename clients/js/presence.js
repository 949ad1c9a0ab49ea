import { Code, SignalError } from './codes.js';
import { Watch } from './watch.js';

/** How often the wait for an answer to `watch` doubles. */
const MAX_DOUBLED = 3;

/**
 * Who is online: asked once, or watched. A question belongs to the connection on which it was asked. A watch lasts: on each
 * new connection the server is asked again to watch, and says how things stand.
 */
export class Presence {
  #settings;
  #questions = new Set();
  #watched = new Map(); // by user: {watches, at, online, told, asked, timer}
  #connection; // that is welcome

  /**
   * @param {{clock: object, ackTimeout: number, tell: (event: {user: string, online?: boolean, error?: Error}) => void}} settings
   *   times in ms; `tell` is called with what a watched user does
   */
  constructor(settings) {
    this.#settings = settings;
  }

  /** Whether a user is online. Rejects if there is no answer, or no connection. */
  async ask(user) {
    const on = this.#connection;
    if (!on) throw new SignalError(Code.NOT_CONNECTED);
    const { clock, ackTimeout } = this.#settings;
    const question = { user, on };
    const timer = clock.setTimeout(() => question.fail(Code.UNAVAILABLE), ackTimeout);
    this.#questions.add(question);
    on.send(JSON.stringify({ type: 'presence', user }));
    try {
      return await new Promise((resolve, reject) => {
        question.answer = resolve;
        question.fail = (code) => reject(new SignalError(code));
      });
    } finally {
      this.#questions.delete(question);
      clock.clearTimeout(timer);
    }
  }

  /** Begins to watch a user. */
  watch(user) {
    const watch = new Watch(user, () => this.#leave(watch));
    const entry = this.#watched.get(user);
    if (entry) {
      entry.watches.add(watch);
      if (entry.told) watch.tell(entry.online);
    } else {
      const begun = { user, watches: new Set([watch]), at: -Infinity, told: false, asked: 0 };
      this.#watched.set(user, begun);
      if (this.#connection) this.#begin(begun);
    }
    return watch;
  }

  /** Ends all watches of a user. */
  unwatch(user) {
    for (const watch of [...this.#watched.get(user)?.watches ?? []]) watch.stop();
  }

  /** A connection was welcomed: what is watched is to be watched there. */
  attach(connection) {
    this.#connection = connection;
    for (const entry of [...this.#watched.values()]) {
      entry.asked = 0;
      this.#begin(entry);
    }
  }

  /** A connection answers no question any more. */
  forget(connection) {
    for (const q of this.#questions) if (q.on === connection) q.fail(Code.NOT_CONNECTED);
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const entry of this.#watched.values()) this.#settings.clock.clearTimeout(entry.timer);
  }

  /** A connection says whether a user is online, or that it may not be watched. */
  hear(connection, { type, code, message, user, online, watched, at }) {
    const entry = this.#watched.get(user);
    if (type === 'error') {
      if (entry && connection === this.#connection) this.#fail(entry, new SignalError(code, message && `${user} cannot be watched: ${message}`));
    } else if (watched === undefined) {
      for (const q of this.#questions) if (q.on === connection && q.user === user) q.answer(online);
    } else if (watched && entry) {
      if (connection === this.#connection) this.#settings.clock.clearTimeout(entry.timer);
      if (at <= entry.at) return;
      Object.assign(entry, { at, online, told: true });
      for (const watch of entry.watches) watch.tell(online);
      this.#settings.tell({ user, online });
    }
  }

  /** Ends all watches; with an error, those who look are told. */
  end(error) {
    for (const { watches, timer } of this.#watched.values()) {
      this.#settings.clock.clearTimeout(timer);
      for (const watch of watches) watch.end(error);
    }
    this.#watched.clear();
  }

  /** Asks the server to watch, again and again until it answers. */
  #begin(entry) {
    const { clock, ackTimeout } = this.#settings;
    clock.clearTimeout(entry.timer);
    if (!this.#connection.maxWatched) {
      this.#fail(entry, new SignalError(Code.UNSUPPORTED, 'the server does not let clients watch users'));
      return;
    }
    entry.timer = clock.setTimeout(() => this.#begin(entry), ackTimeout * 2 ** Math.min(entry.asked++, MAX_DOUBLED));
    this.#connection.send(JSON.stringify({ type: 'watch', user: entry.user }));
  }

  #fail(entry, error) {
    this.#watched.delete(entry.user);
    this.#settings.clock.clearTimeout(entry.timer);
    for (const watch of entry.watches) watch.end(error);
    this.#settings.tell({ user: entry.user, error });
  }

  #leave(watch) {
    const entry = this.#watched.get(watch.user);
    if (!entry?.watches.delete(watch) || entry.watches.size > 0) return;
    this.#watched.delete(watch.user);
    this.#settings.clock.clearTimeout(entry.timer);
    this.#connection?.send(JSON.stringify({ type: 'unwatch', user: watch.user }));
  }
}
