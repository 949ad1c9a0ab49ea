import { Alarm } from './clock.js';
import { Code, isConnections, mayPass } from './codes.js';
import { MAX_FRAME } from './connection.js';

/** The server holds so many bytes of frames that came early (docs/protocol.md, Order); no more are in flight. */
export const MAX_BYTES_IN_FLIGHT = 256 << 10;
/** How far the numbers in flight may lie apart: of so many the server knows which messages they were. */
export const MAX_SPREAD = 128;
/** How often the wait for an answer doubles: with each repeat, and all at once where the server holds the message. */
const MAX_DOUBLED = 3;
/** How often a message is sent again after a failure that may pass (after 2102, once); ms until the first of these. */
const RETRIES = 2;
const RETRY_PAUSE = 250;
/** Room in a frame for its type and number. */
const HEAD = 64;

const utf8 = new TextEncoder();

/**
 * @typedef {{
 *   number: number, to: string, body: string, bytes: number, resolve: () => void, reject: (code: number) => void,
 *   code?: number, failures: number, pausing: boolean, on: object | undefined, repeats: number, due: number,
 * }} Message `code` is the answer since it was last sent, if that was a failure; `failures` are those that may pass, after each of which
 *   it pauses; `on` is the present connection if it was sent on that, and `repeats` how often again without an answer.
 */

/**
 * Numbers messages 1, 2, 3, … over all connections of a session, keeps as many in flight as the server takes, and sends
 * what was not answered again under its number: after a time-out on the same connection, and on each new one. The
 * server delivers a number once.
 *
 * A number that was used must come, or the server waits for it: where there is nothing to say any more, a frame without
 * a receiver takes its place, which the server answers by an error and passes over (a *filler*).
 */
export class Outbox {
  #settings;
  #alarm;
  #next = 1;
  #flight = new Map(); // messages by number, ascending
  #sent = 0; // of them on the present connection
  #bytes = 0; // in flight
  #queue = []; // messages without a number yet
  #connection; // that is welcome: {send, maxInFlight}; undefined: none
  #grace;

  /** @param {{clock: object, ackTimeout: number, maxQueued: number}} settings times in ms */
  constructor(settings) {
    this.#settings = settings;
    this.#alarm = new Alarm(settings.clock, () => this.#remind());
  }

  /** The lowest number that may be sent. */
  get first() {
    for (const number of this.#flight.keys()) return number;
    return this.#next;
  }

  get empty() {
    return this.#queue.length === 0 && [...this.#flight.values()].every((m) => m.filler);
  }

  /** Whom there are messages for. */
  get receivers() {
    return new Set([...this.#flight.values(), ...this.#queue].filter((m) => !m.filler).map((m) => m.to));
  }

  /**
   * Sends a message. `answered` rejects with a code; after `withdraw` it is not sent, unless it was.
   *
   * @param {string} to
   * @param {string} data as JSON
   */
  add(to, data) {
    const body = `"to":${JSON.stringify(to)},"data":${data}`;
    const message = { to, body, bytes: utf8.encode(body).length + HEAD, failures: 0, repeats: 0 };
    const answered = new Promise((resolve, reject) => Object.assign(message, { resolve, reject }));
    if (message.bytes > MAX_FRAME) message.reject(Code.CLIENT);
    else if (this.#queue.length >= this.#settings.maxQueued) message.reject(Code.BUSY);
    else {
      this.#queue.push(message);
      this.#pump();
    }
    return { answered, withdraw: () => { this.#queue = this.#queue.filter((m) => m !== message); } };
  }

  /**
   * A new connection was welcomed. On one that goes on with the session, what was not answered is sent again; on
   * another, everything from `first`, which was the lowest number when it was opened.
   *
   * @param {{post: (message: string, bytes: number) => void, maxInFlight: number}} connection
   * @param {{resumed: boolean, first: number, grace?: object}} how
   */
  attach(connection, { resumed, first, grace }) {
    this.detach();
    this.#connection = connection;
    this.#grace = grace;
    if (!resumed) {
      for (let n = first; n < this.#next; n++) this.#fill(n);
      this.#flight = new Map([...this.#flight].sort(([a], [b]) => a - b));
    }
    this.#pump();
  }

  /** The connection is gone. */
  detach() {
    this.#connection = undefined;
    this.#grace?.end();
    this.#grace = undefined;
    this.#sent = 0;
    this.#alarm.off();
    for (const m of this.#flight.values()) m.on = undefined;
  }

  /** The connection has room for others, or a receiver is back. */
  resume() {
    this.#pump();
  }

  /**
   * The server has answered: 0, or a code. What it says on a connection that is not the present one counts only if it
   * is a success: a failure may be the connection's, and is asked about again.
   */
  answered(number, code, present) {
    const m = this.#flight.get(number);
    if (!m || (code !== 0 && !present)) return;
    if (m.filler || code === 0) return this.#settle(m, code);
    m.code = code;
    if (isConnections(code)) return; // to be asked again on the next
    if (!mayPass(code)) return this.#settle(m, code);
    if (m.on === undefined || m.pausing) return;
    if (m.failures >= (code === Code.BUSY ? 1 : RETRIES)) {
      m.reject(code);
      this.#replace(m);
      return;
    }
    m.pausing = true;
    this.#expect(m, RETRY_PAUSE * 2 ** m.failures++);
  }

  /** The server holds a number until those before it have come. */
  stored(number) {
    const m = this.#flight.get(number);
    if (m?.on === undefined || m.pausing) return;
    m.repeats = MAX_DOUBLED;
    this.#await(m);
  }

  /** Rejects all there is. What was sent may have been delivered; what was not, was not. */
  stop() {
    this.detach();
    for (const m of this.#flight.values()) {
      if (m.filler) continue;
      m.reject(m.code ?? Code.UNKNOWN);
      this.#fill(m.number, m);
    }
    for (const m of this.#queue.splice(0)) m.reject(Code.NOT_CONNECTED);
  }

  #pump() {
    const connection = this.#connection;
    if (!connection) return;
    if (this.#sent < this.#flight.size) {
      for (const m of this.#flight.values()) {
        if (m.on === connection) continue;
        if (this.#sent >= connection.maxInFlight || !this.#allowed(m)) return;
        this.#transmit(m);
      }
    }
    for (;;) {
      const m = this.#queue[0];
      const full = this.#sent >= connection.maxInFlight || this.#next - this.first >= MAX_SPREAD;
      if (!m || full || this.#bytes + m.bytes > MAX_BYTES_IN_FLIGHT || !this.#allowed(m)) return;
      this.#queue.shift();
      m.number = this.#next++;
      this.#flight.set(m.number, m);
      this.#bytes += m.bytes;
      this.#transmit(m);
    }
  }

  #allowed(m) {
    return m.filler || !this.#grace || this.#grace.allows(m.to, this.#sent === 0);
  }

  #transmit(m) {
    if (m.on === undefined) this.#sent++;
    m.repeats = m.on === undefined || m.pausing ? 0 : m.repeats + 1;
    m.on = this.#connection;
    m.pausing = false;
    m.code = undefined;
    this.#await(m);
    this.#connection.post(`{"type":"message","id":${m.number}${m.body && ','}${m.body}}`, m.bytes || HEAD);
  }

  #await(m) {
    this.#expect(m, this.#settings.ackTimeout * 2 ** Math.min(m.repeats, MAX_DOUBLED));
  }

  /** If there is no answer within so many ms, the number is sent again. */
  #expect(m, ms) {
    m.due = this.#settings.clock.now() + ms;
    this.#alarm.by(m.due);
  }

  #remind() {
    const now = this.#settings.clock.now();
    for (const m of this.#flight.values()) {
      if (m.on === undefined) continue;
      if (m.due > now) this.#alarm.by(m.due);
      else this.#transmit(m);
    }
  }

  #settle(m, code) {
    this.#drop(m);
    this.#grace?.answered(m.to, code);
    if (code === 0) m.resolve();
    else m.reject(code);
    this.#pump();
  }

  #drop(m) {
    this.#flight.delete(m.number);
    this.#bytes -= m.bytes;
    if (m.on !== undefined) this.#sent--;
  }

  /** Puts a filler in the place of a message, and sends it. */
  #replace(m) {
    this.#sent--;
    this.#transmit(this.#fill(m.number, m));
    this.#grace?.answered(m.to, m.code);
    this.#pump();
  }

  /** A filler for a number, unless there is a message under it. Setting a key that is there keeps its place. */
  #fill(number, instead) {
    const there = this.#flight.get(number);
    if (there && there !== instead) return there;
    this.#bytes -= there?.bytes ?? 0;
    const filler = {
      number, filler: true, to: undefined, body: '', bytes: 0, failures: 0, repeats: 0, resolve() {}, reject() {},
    };
    this.#flight.set(number, filler);
    return filler;
  }
}
