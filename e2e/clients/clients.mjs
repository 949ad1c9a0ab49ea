// The kinds of clients that the server has to serve.

import assert from 'node:assert/strict';
import io1 from 'socket.io-client-1';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import { io as io4 } from 'socket.io-client-4';
import { ANSWERS_LAST, ENDPOINT, TRANSPORTS } from './endpoint.mjs';
import { JSONClient } from './json.mjs';
import { SocketIOClient } from './socketio.mjs';

/**
 * @typedef {SocketIOClient | JSONClient} Client
 * @typedef {{name: string, open: (options: object) => Client}} Kind
 */

const socketIOKind = (version, io) => (
  { name: `Socket.IO ${version}`, open: (options) => new SocketIOClient(io, options) });

export const [one, two, three, four] = [io1, io2, io3, io4].map((io, i) => socketIOKind(i + 1, io));

/** Socket.IO's clients: 1 and 2 speak Engine.IO 3, the others Engine.IO 4. @type {Kind[]} */
export const socketIOKinds = [...(TRANSPORTS[0] === 'polling' ? [one] : []), two, three, four];

/** @type {Kind} */
export const json = { name: 'JSON', open: (options) => new JSONClient(options) };

/** @type {Kind[]} */
export const kinds = [...socketIOKinds, json];

/** How a client of a kind authenticates with its handshake, where it can. @param {Kind} kind */
export const early = (kind) => (ANSWERS_LAST && (kind === three || kind === four) ? 'event' : 'query');

/** Opens a client, which is closed when the test ends. */
export function open(t, kind, options) {
  const client = kind.open({ endpoint: ENDPOINT, ...options });
  t.after(() => client.close());
  return client;
}

/** Opens a client and waits until it has the name that is its token. */
export async function join(t, kind, options) {
  const client = open(t, kind, options);
  const user = await client.ready();
  if (options.token) assert.equal(user, options.token);
  client.user = user;
  return client;
}

/** Every element of one list with every one of the other. */
export const product = (a, b) => a.flatMap((x) => b.map((y) => [x, y]));
