/** The time as it passes. Tests have one of their own. */
export const systemClock = {
  /** In ms, and never set back. */
  now: () => performance.now(),
  setTimeout: (act, ms) => setTimeout(act, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** One timer, which is due at the earliest of the times that it was set to. */
export class Alarm {
  #clock;
  #act;
  #timer;
  #at = Infinity;

  constructor(clock, act) {
    this.#clock = clock;
    this.#act = act;
  }

  /** Sees to it that the alarm goes off at `at` at the latest. */
  by(at) {
    if (at >= this.#at) return;
    this.off();
    this.#at = at;
    this.#timer = this.#clock.setTimeout(() => {
      this.#at = Infinity;
      this.#act();
    }, Math.max(0, at - this.#clock.now()));
  }

  off() {
    this.#clock.clearTimeout(this.#timer);
    this.#at = Infinity;
  }
}
