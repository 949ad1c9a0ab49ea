import { Alarm } from './clock.js';
import { Recent } from './recent.js';

/** How many messages wait for one before them; with one more, it is given up. */
export const MAX_HELD = 1024;
/** How many gaps are remembered, whose messages may still come late. */
export const MAX_GAPS = 64;
/** How many senders, and how many sessions of senders, are remembered. */
export const MAX_SENDERS = 1024;

/**
 * Brings what is received into order, each message once.
 *
 * The server numbers a user's messages within an epoch (`seq`). While a connection is renewed messages come on two, and
 * what two senders send may overtake one another: a message that comes early waits for those before it, but not long,
 * for a number may be missing for good (docs/guarantees.md: routed, and not posted; or posted to a connection that was
 * dead). A number that was given up is reported as a gap. Should its message come after all, it is delivered unless a
 * later one of the same sender has been.
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
  #gaps = []; // given up: {first, last}
  #senders = new Recent(MAX_SENDERS); // the highest seq delivered of each
  #sessions = new Recent(MAX_SENDERS); // the highest number delivered of each

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
      this.#gaps = [];
      this.#senders = new Recent(MAX_SENDERS);
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
    } else if (seq <= this.#last) {
      this.#late(frame);
    } else {
      if (!this.#held.has(seq)) this.#held.set(seq, { frame, at: this.#settings.clock.now() });
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
    if (this.#held.size > 0) this.#alarm.by(this.#held.get(this.#lowest()).at + this.#settings.gapWait);
  }

  #tooLate() {
    const { clock, gapWait } = this.#settings;
    while (this.#held.size > 0 && this.#held.get(this.#lowest()).at + gapWait <= clock.now()) this.#giveUp();
    this.#drain();
  }

  #giveUp() {
    this.#skip(this.#lowest() - 1);
    this.#drain();
  }

  #skip(last) {
    if (last <= this.#last) return;
    const gap = { first: this.#last + 1, last };
    this.#last = last;
    this.#gaps.push(gap);
    if (this.#gaps.length > MAX_GAPS) this.#gaps.shift();
    this.#settings.gap({ epoch: this.#epoch, ...gap });
  }

  #late(frame) {
    const { from, seq } = frame;
    const i = this.#gaps.findIndex(({ first, last }) => first <= seq && seq <= last);
    if (i < 0) return; // a repeat
    const { first, last } = this.#gaps[i];
    const rest = [{ first, last: seq - 1 }, { first: seq + 1, last }].filter((gap) => gap.first <= gap.last);
    this.#gaps.splice(i, 1, ...rest);
    if (!(seq < this.#senders.get(from))) this.#deliver(frame);
  }

  #lowest() {
    let lowest = Infinity;
    for (const seq of this.#held.keys()) lowest = Math.min(lowest, seq);
    return lowest;
  }

  #deliver(frame) {
    const { from, epoch, seq, session, number } = frame;
    if (session !== undefined) {
      const key = JSON.stringify([from, session]);
      if (number <= this.#sessions.get(key)) return; // a repeat
      this.#sessions.set(key, number);
    }
    if (epoch === this.#epoch) this.#senders.set(from, Math.max(seq, this.#senders.get(from) ?? seq));
    this.#settings.deliver(frame);
  }
}
