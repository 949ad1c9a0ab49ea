// Watches of the client's with a real server, and with users of other protocols.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { io } from 'socket.io-client-4';
import { WebSocket } from 'ws';
import { Code, SignalingClient } from '../../clients/js/index.js';
import { PATIENCE } from './burst.mjs';
import { Proxy } from './proxy.mjs';

const { SERVER } = process.env;
/** How many users the server lets one watch. */
const MAX_WATCHED = 64;

async function join(t, token, url = SERVER) {
  const client = new SignalingClient({ WebSocket, reconnectFirst: 20, reconnectAttempts: Infinity });
  t.after(() => client.disconnect());
  await client.connect({ url, token });
  return client;
}

/** What one is told next. */
const next = async (watch) => (await watch.next()).value.online;

it('a user is seen to come and go, whoever ends the connection; a takeover is no change', { timeout: PATIENCE }, async (t) => {
  const network = await Proxy.before(SERVER);
  t.after(() => network.close());
  const alice = await join(t, 'alice');
  const events = [];
  alice.addEventListener('presence', ({ detail }) => events.push(detail));
  const bob = alice.watch('bob');
  assert.equal(await next(bob), false);

  const socket = io(SERVER, { transports: ['websocket'], query: 'clientVersion=4.3.1&token=bob', forceNew: true });
  t.after(() => socket.close());
  assert.equal(await next(bob), true);
  await Promise.all([once(socket, 'disconnect'), join(t, 'bob', network.origin)]); // takes over
  network.down = true;
  network.cut();
  assert.equal(await next(bob), false);
  network.down = false; // he comes back by himself
  assert.equal(await next(bob), true);

  const third = await join(t, 'bob');
  await third.disconnect();
  assert.equal(await next(bob), false);
  assert.deepEqual(events, [false, true, false, true, false].map((online) => ({ user: 'bob', online })));
});

it('what has changed while the network was away is told by the next connection', { timeout: PATIENCE }, async (t) => {
  const network = await Proxy.before(SERVER);
  t.after(() => network.close());
  const carol = await join(t, 'carol', network.origin);
  const dave = carol.watch('dave');
  assert.equal(await next(dave), false);
  network.down = true;
  network.cut();
  await join(t, 'dave');
  network.down = false;
  assert.equal(await next(dave), true);
});

it('so many may be watched at a time', { timeout: PATIENCE }, async (t) => {
  const erin = await join(t, 'erin');
  const watches = Array.from({ length: MAX_WATCHED }, (_, i) => erin.watch(`friend ${i}`));
  await Promise.all(watches.map(next));
  await assert.rejects(erin.watch('one more').next(), { code: Code.BUSY });
  watches[0].stop();
  assert.equal(await next(erin.watch('erin')), true);
});
