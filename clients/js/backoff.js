/** So many connections in a row that were lost soon lengthen no pause. */
const BRIEF = 4;

/**
 * How long to wait before the next attempt to connect: twice as long after each that failed, up to a limit, and at random
 * between half of that and all of it, so that clients whom one outage has thrown out do not come back in step.
 *
 * That a connection was lost is no reason to wait for long: the server may be back at once. But after several in a row
 * that did not last, each further one counts like an attempt that failed: the server may welcome clients and drop them.
 */
export class Backoff {
  #settings;
  #failed = 0; // attempts in a row
  #brief = 0; // connections in a row that did not last

  /** @param {{first: number, most: number, attempts: number, random: () => number}} settings times in ms */
  constructor(settings) {
    this.#settings = settings;
  }

  /** The pause in ms; undefined when all attempts have been made. */
  next() {
    const { first, most, attempts, random } = this.#settings;
    if (this.#failed >= attempts) return undefined;
    const doubled = this.#failed++ + Math.max(0, this.#brief - BRIEF);
    return Math.min(most, first * 2 ** doubled) * (0.5 + random() / 2);
  }

  /** The number of the next attempt, of those in a row. */
  get attempt() {
    return this.#failed;
  }

  /** An attempt has succeeded. Whether the connection lasts remains to be seen. */
  welcomed() {
    this.#failed = 0;
  }

  /** A connection has ended, or was replaced. */
  ended(lasted) {
    this.#failed = 0;
    this.#brief = lasted ? 0 : this.#brief + 1;
  }
}
