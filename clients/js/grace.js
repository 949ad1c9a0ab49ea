import { Code } from './codes.js';

/** Between two questions whether a receiver is back, in ms: the first pause, and the longest. */
const ASK = [100, 500];

/**
 * What took a client's connection away may have taken its peers', too: they are on their way back. So for a while after
 * a reconnect, a message waits until the server says that its receiver is online. That may be wrong, if the server has
 * not noticed yet; so the first message to each goes alone, and if that is told that the receiver is unreachable, the
 * others wait on.
 */
export class Grace {
  #settings;
  #receivers = new Map(); // 'away', 'there' or 'confirmed'
  #timers = new Set();
  #over = false;

  /**
   * @param {{
   *   clock: object, ms: number, receivers: Iterable<string>,
   *   presence: (user: string) => Promise<boolean>, changed: () => void,
   * }} settings
   */
  constructor(settings) {
    this.#settings = settings;
    for (const user of settings.receivers) this.#receivers.set(user, undefined);
    this.#after(settings.ms, () => {
      this.end();
      settings.changed();
    });
  }

  /** Whether a message to this user may go now; alone: no other is on its way. */
  allows(user, alone) {
    if (this.#over || !this.#receivers.has(user)) return true;
    const state = this.#receivers.get(user);
    if (state === undefined) this.#ask(user, ASK[0]);
    return state === 'confirmed' || (state === 'there' && alone);
  }

  /** A message to this user was answered. */
  answered(user, code) {
    if (this.#over || this.#receivers.get(user) !== 'there') return;
    if (code === 0) this.#receivers.set(user, 'confirmed');
    if (code === Code.UNREACHABLE) this.#receivers.set(user, undefined);
  }

  end() {
    this.#over = true;
    for (const timer of this.#timers) this.#settings.clock.clearTimeout(timer);
  }

  async #ask(user, pause) {
    this.#receivers.set(user, 'away');
    const online = await this.#settings.presence(user).catch(() => false);
    if (this.#over) return;
    if (online) {
      this.#receivers.set(user, 'there');
      this.#settings.changed();
    } else {
      this.#after(pause, () => this.#ask(user, Math.min(ASK[1], 2 * pause)));
    }
  }

  #after(ms, act) {
    const timer = this.#settings.clock.setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }
}
