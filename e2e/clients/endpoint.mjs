// Where the server is, and how much is asked of it. Nothing else is known of it, so that the suite can be held against
// any deployment: make e2e ENDPOINT=wss://…

import { randomBytes } from 'node:crypto';

/** The server's address, as OWT clients are given it: origin and path. */
export const ENDPOINT = process.env.ENDPOINT ?? 'http://127.0.0.1:8095/socket.io/';

/** The same over TLS with a certificate that nobody knows, if there is such an address. */
export const SECURE_ENDPOINT = process.env.SECURE_ENDPOINT;

/** What Socket.IO's clients begin with: their default, which is long polling, or WebSocket alone. */
export const TRANSPORTS = process.env.POLLING_FIRST === undefined ? ['websocket'] : ['polling', 'websocket'];

/** How many messages each of two clients sends the other. */
export const MESSAGES = Number(process.env.MESSAGES ?? 1000);

/**
 * How many times faster than real time the server's timers are: with 200, its 10 idle minutes are 3 s. Unset: nobody
 * waits for timers.
 */
export const IDLE_SCALE = process.env.IDLE_SCALE === undefined ? undefined : Number(process.env.IDLE_SCALE);

/** How long it is between two sweeps of a server that loses every $disconnect, in ms. Unset: it does not. */
export const SWEEP = process.env.SWEEP === undefined ? undefined : Number(process.env.SWEEP);

/**
 * Whether a frame may take longer than the 100 ms for which a reconnect waits (docs/guarantees.md, stragglers): where it
 * may wait for a process to start, or the endpoint is far away.
 */
export const STRAGGLERS = process.env.STRAGGLERS !== undefined;

/**
 * Whether a handshake is answered only when the work after it is done, as by an emulator of Lambda (docs/local.md): who speaks
 * Engine.IO 4 and has its token in the query is waited for there, and does not get in.
 */
export const ANSWERS_LAST = process.env.ANSWERS_LAST !== undefined;

/** The address for Socket.IO's clients. */
export function socketIO(endpoint) {
  const url = new URL(endpoint.replace(/^ws/, 'http'));
  return { origin: url.origin, path: url.pathname };
}

/** The address for WebSocket clients, with a query. */
export function webSocket(endpoint, query) {
  const url = new URL(endpoint.replace(/^http/, 'ws'));
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(key, value);
  }
  return url;
}

const run = randomBytes(6).toString('hex');
let named = 0;

/** A user's name that nobody else has, in this run or another; it ends with what is given. */
export const name = (end = 'user') => `${run}-${++named}-${end}`;

/** Such a name of so many bytes. */
export const nameOf = (bytes) => name('').padEnd(bytes, 'x');
