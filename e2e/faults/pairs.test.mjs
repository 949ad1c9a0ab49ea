// Many clients at once, on a day on which all is late.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eachOf, open, pairs } from './client.mjs';
import { exchange, WINDOW } from './exchange.mjs';

const PAIRS = 50;
/** How many messages each of two clients sends the other. */
const MESSAGES = 20;
/** How many pairs exchange them at a time: with all of them a small machine's database would be what is tested. */
const AT_ONCE = 5;
/** How long all of that may take, in ms. */
const PATIENCE = 240_000;

it(`${PAIRS} pairs online, ${MESSAGES} messages each way, ${WINDOW} in flight: once, in order, acked`, { timeout: PATIENCE }, async (t) => {
  const clients = Array.from({ length: PAIRS }, (_, i) => pairs[i % pairs.length].map((kind) => open(t, kind)));
  await Promise.all(clients.flat().map((client) => client.ready(PATIENCE)));
  await eachOf(PAIRS, AT_ONCE, async (i) => {
    const [a, b] = clients[i];
    await Promise.all([exchange(a, b, MESSAGES), exchange(b, a, MESSAGES)]);
  });
  assert.deepEqual(clients.flat().flatMap((client) => client.lost), [], 'lost connections');
});
