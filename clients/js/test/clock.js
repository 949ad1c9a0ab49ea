/** A clock that the test moves. */
export class Clock {
  #now = 0;
  #timers = new Map();
  #made = 0;

  now = () => this.#now;

  setTimeout = (act, ms) => {
    const timer = ++this.#made;
    this.#timers.set(timer, { at: this.#now + ms, act });
    return timer;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** How many timers there are. */
  get pending() {
    return this.#timers.size;
  }

  /** Moves the time on, and does in their order what becomes due, and what follows of that. */
  async pass(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const [timer, next] = [...this.#timers].reduce((a, b) => (b[1].at < a[1].at ? b : a), [undefined, { at: Infinity }]);
      if (next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(timer);
      next.act();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets what waits for promises go on. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));
