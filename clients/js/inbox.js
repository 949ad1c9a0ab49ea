import { Alarm } from './clock.js';
import { Recent } from './recent.js';

/** How many messages wait for one before them; with one more, it is given up. */
export const MAX_HELD = 1024;
/** How many sessions of senders are remembered. */
export const MAX_SESSIONS = 2048;

/**
 * Brings what is received into order, each message once.
 *
 * The server numbers a user's messages within an epoch (`seq`). While a connection is renewed messages come on two, and
 * what two senders send may overtake one another: a message that comes early waits for those before it, but not for
 * ever, for a number may be missing for good (docs/guarantees.md: routed, and not posted; or posted to a connection that
 * was dead). A number that was given up is reported as a gap, and is past (../SPEC.md, Order and gaps).
 *
 * What a sender's session has sent again, after the server had forgotten the session, has a new `seq` and the old
 * `session` and `number`. Since a session's messages come in order, its highest number tells which are repeats.
 */
export class Inbox {
  #settings;
  #alarm;
  #epoch;
  #last; // the highest seq that was delivered or given up
  #routed = -1; // seqs up to here were meant for a connection before the present one
  #held = new Map(); // by seq: {frame, at}
  #early = []; // of an epoch that the welcome will tell of
  #sessions = new Recent(MAX_SESSIONS); // the highest number delivered of each

  /**
   * @param {{
   *   clock: object, gapWait: number,
   *   deliver: (frame: object) => void, gap: (gap: {epoch: string, first: number, last?: number}) => void,
   * }} settings
   */
  constructor(settings) {
    this.#settings = settings;
    this.#alarm = new Alarm(settings.clock, () => this.#tooLate());
  }

  /**
   * A connection was welcomed: messages up to `seq` were meant for those before it. If it is alone, what of them has
   * not come is lost.
   */
  welcome({ epoch, seq }, alone) {
    if (this.#epoch === epoch) {
      this.#routed = seq;
      if (alone) this.alone();
    } else {
      if (this.#epoch !== undefined) {
        this.flush();
        this.#settings.gap({ epoch: this.#epoch, first: this.#last + 1 });
      }
      this.#epoch = epoch;
      this.#last = this.#routed = seq;
    }
    this.unwelcome();
  }

  /**
   * What came before the welcome goes on its way, after the welcome or where there was none. Where the server waits for
   * the end of the connection before, seconds may pass between the first message and the welcome.
   */
  unwelcome() {
    for (const frame of this.#early.splice(0)) this.receive(frame, true);
  }

  /** The connections before the present one have ended. */
  alone() {
    while (this.#last < this.#routed) {
      const held = this.#lowest();
      this.#skip(Math.min(held - 1, this.#routed));
      this.#drain();
    }
  }

  /** @param {boolean} welcome whether the connection that it comes on is welcome */
  receive(frame, welcome) {
    const { epoch, seq } = frame;
    if (epoch !== this.#epoch && !welcome) {
      this.#early.push(frame);
      if (this.#early.length > MAX_HELD) this.unwelcome();
    } else if (epoch !== this.#epoch) {
      this.#deliver(frame); // of an epoch that has ended: its order is past
    } else if (seq > this.#last && !this.#held.has(seq)) {
      this.#held.set(seq, { frame, at: this.#settings.clock.now() });
      this.#drain();
      if (this.#held.size > MAX_HELD) this.#giveUp();
    }
  }

  /** Delivers what waits. */
  flush() {
    while (this.#held.size > 0) this.#giveUp();
  }

  /** Forgets where the numbers stand: the next welcome begins anew. */
  reset() {
    this.flush();
    this.#early = [];
    this.#epoch = undefined;
  }

  #drain() {
    for (;;) {
      const held = this.#held.get(this.#last + 1);
      if (!held) break;
      this.#held.delete(++this.#last);
      this.#deliver(held.frame);
    }
    this.#alarm.off();
    if (this.#held.size > 0) this.#alarm.by(this.#due);
  }

  #tooLate() {
    while (this.#due <= this.#settings.clock.now()) this.#giveUp();
    this.#drain();
  }

  /** When the message that has waited the longest has waited enough; NaN: none waits. Maps keep their order. */
  get #due() {
    return this.#held.values().next().value?.at + this.#settings.gapWait;
  }

  #giveUp() {
    this.#skip(this.#lowest() - 1);
    this.#drain();
  }

  #skip(last) {
    if (last <= this.#last) return;
    const gap = { first: this.#last + 1, last };
    this.#last = last;
    this.#settings.gap({ epoch: this.#epoch, ...gap });
  }

  #lowest() {
    let lowest = Infinity;
    for (const seq of this.#held.keys()) lowest = Math.min(lowest, seq);
    return lowest;
  }

  #deliver(frame) {
    const { from, session, number } = frame;
    if (session !== undefined) {
      const key = JSON.stringify([from, session]);
      if (number <= this.#sessions.get(key)) return; // a repeat
      this.#sessions.set(key, number);
    }
    this.#settings.deliver(frame);
  }
}
