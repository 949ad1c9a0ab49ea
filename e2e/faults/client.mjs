// A client as OWT's SDKs are one: it authenticates on every connect, and leaves it to the library to reconnect.

import { TRANSPORTS } from '../clients/endpoint.mjs';
import io2 from 'socket.io-client-2';
import { io as io4 } from 'socket.io-client-4';

/** The server's origin. */
export const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';

/** How long a connect may take until the library gives it up and tries again, in ms. */
const CONNECT = 2000;

const kinds = { '2.5.0': io2, '4.8.4': io4 };

/** All pairs of the two libraries. */
export const pairs = Object.keys(kinds).flatMap((a) => Object.keys(kinds).map((b) => [a, b]));

const run = `${process.pid}-${Date.now()}`;
let named = 0;

export class Client {
  /** A user's name that nobody else has. */
  name = `${run}-${++named}`;
  /** Times at which this client was online, in ms: [from, to]; the last one may have no end yet. */
  sessions = [];
  /** What arrived: {data, from, at}. */
  inbox = [];
  /** How often the library has connected, and why it lost a connection. */
  connects = 0;
  lost = [];
  /** Answers to its authentications that it should not get. */
  strange = [];
  #waiting = [];

  /** @param {string} [name] of another client before it, which it is on its next connection */
  constructor(kind, name) {
    if (name !== undefined) this.name = name;
    this.socket = kinds[kind](SERVER, {
      transports: TRANSPORTS, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, timeout: CONNECT,
    });
    this.socket.on('connect', () => {
      const connection = ++this.connects;
      this.socket.emit('authentication', { token: this.name }, (answer) => this.#authenticated(connection, answer));
    });
    this.socket.on('disconnect', (reason) => {
      this.lost.push(reason);
      const session = this.sessions.at(-1);
      if (session) session[1] = Math.min(session[1], performance.now());
      this.#tell();
    });
    this.socket.on('owt-message', ({ data, from }) => {
      this.inbox.push({ data, from, at: performance.now() });
      this.#tell();
    });
  }

  #authenticated(connection, answer) {
    if (answer.uid === this.name && connection === this.connects) {
      this.sessions.push([performance.now(), Infinity]);
      this.#tell();
    } else {
      this.strange.push(`authentication of connection ${connection} answered on ${this.connects}: ${JSON.stringify(answer)}`);
    }
  }

  /** Waits until `is` is true, for so many ms. */
  until(what, is, ms) {
    if (is()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
      this.#waiting.push({ is, done: () => { clearTimeout(timer); resolve(); } });
    });
  }

  #tell() {
    this.#waiting = this.#waiting.filter(({ is, done }) => !is() || done());
  }

  get online() {
    return this.sessions.at(-1)?.[1] === Infinity;
  }

  /** Whether it was online, in one session, all the time. */
  wasOnline(from, to) {
    return this.sessions.some(([a, b]) => a <= from && to <= b);
  }

  ready(ms = 30_000) {
    return this.until('the authentication', () => this.online, ms);
  }

  /** Sends a message; `acked` gets the arguments of its ack, if there ever is one. */
  send(to, data, acked) {
    this.socket.emit('owt-message', { to, data }, (...args) => acked(args));
  }

  /** Sends a message that asks for no ack. */
  fire(to, data) {
    this.socket.emit('owt-message', { to, data });
  }

  close() {
    this.socket.close();
  }
}

/** Opens a client, which is closed with the test. */
export function open(t, kind, name) {
  const client = new Client(kind, name);
  t.after(() => client.close());
  return client;
}

/** Does something for each of 0 … count-1, so many at a time. */
export async function eachOf(count, atATime, act) {
  let next = 0;
  await Promise.all(Array.from({ length: atATime }, async () => {
    for (let i = next++; i < count; i = next++) await act(i);
  }));
}

/** How often each of some words occurs, in words. */
export function tally(words) {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} ${word}`).join(', ');
}
