/**
 * How long to wait before the next attempt to connect: twice as long each time, up to a limit, and at random between
 * half of that and all of it, so that clients whom one outage has thrown out do not come back in step.
 */
export class Backoff {
  #settings;
  #step = 0;
  #attempts = 0;

  /** @param {{first: number, most: number, attempts: number, random: () => number}} settings times in ms */
  constructor(settings) {
    this.#settings = settings;
  }

  /** The pause in ms; undefined when all attempts have been made. */
  next() {
    const { first, most, attempts, random } = this.#settings;
    if (this.#attempts++ >= attempts) return undefined;
    return Math.min(most, first * 2 ** this.#step++) * (0.5 + random() / 2);
  }

  /** An attempt has succeeded. Whether the connection holds remains to be seen: the pauses stay what they are. */
  connected() {
    this.#attempts = 0;
  }

  /** The connection has held. */
  held() {
    this.#step = 0;
  }
}
