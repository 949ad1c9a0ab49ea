import { Alarm } from './clock.js';
import { Recent } from './recent.js';

/** How many messages wait for one before them; with one more, it is given up, or the last is asked for again. */
export const MAX_HELD = 1024;
/** How many sessions of senders are remembered. */
export const MAX_SESSIONS = 2048;
/** How often the server is asked for the same. */
const ASKED = 3;

/**
 * Brings what is received into order, each message once.
 *
 * The server numbers a user's messages within an epoch (`seq`). While a connection is renewed messages come on two, and
 * what two senders send may overtake one another: a message that comes early waits for those before it. A number may be missing
 * for good (docs/guarantees.md: routed, and not posted; or posted to a connection that was dead).
 *
 * A server that keeps what it has posted is asked for what is missing (*recovery*): by the handshake, and when a message has
 * waited for too long. It sends it, or says of a range of numbers that it is *void*, so that nothing is missing, or *lost*. What
 * no server can bring is reported as a gap, and is past (../SPEC.md, Order and gaps, Recovery).
 *
 * What a sender's session has sent again, after the server had forgotten the session, has a new `seq` and the old
 * `session` and `number`. Since a session's messages come in order, its highest number tells which are repeats.
 */
export class Inbox {
  #settings;
  #alarm;
  #epoch;
  #last; // the highest seq that was delivered or given up
  #held = new Map(); // by seq: {frame, at}
  #ranges = []; // that the server has said are void or lost, beyond #last: {first, last, lost}
  #early = []; // of an epoch that the welcome will tell of
  #sessions = new Recent(MAX_SESSIONS); // the highest number delivered of each

  #connected = false; // a connection is welcome, which can be asked
  #alone = true; // nothing can come on a connection before it
  #routed = -1; // seqs up to here can come only on a connection before the present one
  #kept = 0; // for so many ms the server keeps what it has posted; 0: there is no recovery
  #question; // what it was asked for: seqs up to `target`, since `since`, for the `asked`th time; it answers by `due`

  /**
   * @param {{
   *   clock: object, gapWait: number, ackTimeout: number,
   *   deliver: (frame: object) => void, gap: (gap: {epoch: string, first: number, last?: number}) => void,
   *   ask: (range: {epoch: string, since: number, to: number}) => void,
   * }} settings times in ms; `ask` is called while there is a connection
   */
  constructor(settings) {
    this.#settings = settings;
    this.#alarm = new Alarm(settings.clock, () => this.#tooLate());
  }

  /** Up to where everything has come, for the next handshake; empty: nothing has. */
  get position() {
    return this.#epoch === undefined ? {} : { epoch: this.#epoch, since: this.#last };
  }

  /**
   * A connection was welcomed: messages up to `seq` were meant for those before it. Those from `from` the server sends again. If
   * it is alone, what else of them has not come is lost.
   */
  welcome({ epoch, seq, recover = 0, from = seq + 1 }, alone) {
    this.#connected = true;
    this.#alone = alone;
    this.#kept = recover * 1000;
    this.#question = undefined;
    if (this.#epoch !== epoch) {
      if (this.#epoch !== undefined) {
        this.flush();
        this.#settings.gap({ epoch: this.#epoch, first: this.#last + 1 });
      }
      this.#epoch = epoch;
      this.#ranges = [];
      this.#last = from - 1;
    }
    this.#routed = from - 1;
    if (from <= seq) this.#expect({ target: seq, since: from - 1, asked: 1 });
    this.#lose();
    this.unwelcome();
    this.#drain();
  }

  /**
   * What came before the welcome goes on its way, after the welcome or where there was none. Where the server waits for
   * the end of the connection before, seconds may pass between the first message and the welcome.
   */
  unwelcome() {
    for (const frame of this.#early.splice(0)) this.receive(frame, true);
  }

  /** The present connection has ended, and there is none to ask. */
  disconnected() {
    this.#connected = false;
    this.#question = undefined;
    this.#watch();
  }

  /** The connections before the present one have ended. */
  alone() {
    this.#alone = true;
    this.#lose();
  }

  /**
   * @param {object} frame a `message`, `void` or `lost`
   * @param {boolean} welcome whether the connection that it comes on is welcome
   */
  receive(frame, welcome) {
    const { type = 'message', epoch, seq, last = seq } = frame;
    if (epoch !== this.#epoch && !welcome) {
      this.#early.push(frame);
      if (this.#early.length > MAX_HELD) this.unwelcome();
    } else if (epoch !== this.#epoch) {
      if (type === 'message') this.#deliver(frame); // of an epoch that has ended: its order is past
    } else if (last > this.#last && !(type === 'message' && this.#held.has(seq))) {
      if (type === 'message') this.#held.set(seq, { frame, at: this.#settings.clock.now() });
      else if (this.#ranges.length < MAX_HELD) this.#ranges.push({ first: seq, last, lost: type === 'lost' });
      if (seq <= this.#question?.target) this.#expect(this.#question); // it is being answered
      this.#drain();
      if (this.#held.size > MAX_HELD) this.#tooMany();
    }
  }

  /** The present connection says that all up to `seq` has been sent, or was said to be void or lost. */
  replayed({ epoch, seq }) {
    const { target, since } = this.#question ?? {};
    if (target === undefined || epoch !== this.#epoch) return;
    if (seq >= target) this.#close();
    else if (seq > since) this.#ask({ target, since: Math.max(seq, this.#last), asked: 1 });
  }

  /** Delivers what waits. */
  flush() {
    while (this.#held.size > 0) this.#giveUp(this.#lowest - 1);
  }

  /** Forgets where the numbers stand: the next welcome begins anew. */
  reset() {
    this.disconnected();
    this.flush();
    this.#early = [];
    this.#ranges = [];
    this.#epoch = undefined;
    this.#kept = 0;
  }

  /** Delivers what is next, and passes over what the server has announced. */
  #drain() {
    for (;;) {
      const next = this.#last + 1;
      const held = this.#held.get(next);
      const range = held ? undefined : this.#ranges.find(({ first, last }) => first <= next && next <= last);
      if (held) {
        this.#held.delete(++this.#last);
        this.#deliver(held.frame);
      } else if (range) {
        this.#pass(Math.min(range.last, this.#lowest - 1), range.lost);
      } else {
        break;
      }
    }
    this.#ranges = this.#ranges.filter(({ last }) => last > this.#last);
    if (this.#last >= this.#question?.target) this.#question = undefined;
    this.#watch();
  }

  #watch() {
    this.#alarm.off();
    if (this.#due < Infinity) this.#alarm.by(this.#due);
  }

  /** When something is to be done if nothing comes. */
  get #due() {
    if (this.#question) return this.#question.due;
    const oldest = this.#held.values().next().value?.at ?? Infinity; // maps keep their order
    return oldest + (this.#kept > 0 && !this.#connected ? this.#kept : this.#settings.gapWait);
  }

  #tooLate() {
    while (this.#due <= this.#settings.clock.now()) {
      const { target, since, asked } = this.#question ?? {};
      if (asked >= ASKED) this.#close();
      else if (asked) this.#ask({ target, since: Math.max(since, this.#last), asked: asked + 1 });
      else if (this.#kept === 0 || !this.#connected) this.#giveUp(this.#lowest - 1);
      else if (this.#last < this.#routed) this.#giveUp(Math.min(this.#routed, this.#lowest - 1));
      else this.#ask({ target: this.#lowest - 1, since: this.#last, asked: 1 });
    }
    this.#watch();
  }

  /** One more is held than may be. The server still has the last; without recovery the first gap is given up. */
  #tooMany() {
    if (this.#kept === 0) {
      this.#giveUp(this.#lowest - 1);
      return;
    }
    const highest = Math.max(...this.#held.keys());
    this.#held.delete(highest);
    if (this.#question) this.#question.target = Math.max(this.#question.target, highest);
    else if (this.#connected) this.#ask({ target: highest, since: this.#last, asked: 1 });
  }

  #ask(question) {
    this.#expect(question);
    this.#watch();
    this.#settings.ask({ epoch: this.#epoch, since: question.since, to: question.target });
  }

  /** A question is open, and an answer is awaited from now on: twice as long each time that it is asked. */
  #expect(question) {
    const { clock, ackTimeout } = this.#settings;
    this.#question = { ...question, due: clock.now() + ackTimeout * 2 ** (question.asked - 1) };
  }

  /** What was asked for has come, as far as it will. */
  #close() {
    this.#routed = Math.max(this.#routed, this.#question.target);
    this.#question = undefined;
    this.#lose();
    this.#tooLate();
  }

  /** What can come only on a connection before is lost when there is none. */
  #lose() {
    if (this.#alone) this.#giveUp(this.#routed);
  }

  /** What is missing up to `to` does not come any more. */
  #giveUp(to) {
    this.#drain(); // a handler of a message may have ended the client
    while (this.#last < to) {
      this.#pass(Math.min(to, this.#lowest - 1, ...this.#ranges.map(({ first }) => first - 1)), true);
      this.#drain();
    }
  }

  #pass(last, lost) {
    const gap = { epoch: this.#epoch, first: this.#last + 1, last };
    this.#last = last;
    if (lost) this.#settings.gap(gap);
  }

  get #lowest() {
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
