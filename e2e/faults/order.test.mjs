// What late, repeated and overtaking invocations must not change.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eachOf, open, pairs } from './client.mjs';

/** How many messages each of two clients sends the other, and how many of them at a time. */
const MESSAGES = Number(process.env.MESSAGES ?? 300);
const WINDOW = 16;
/** How many pairs of clients there are. */
const PAIRS = Number(process.env.PAIRS ?? pairs.length);
/**
 * Whether a busy machine may be too slow for a lease, of which 2100 tells: then a message may be
 * missing or not, but what is acked as delivered is.
 */
const SLOW = process.env.SLOW === '1';
/** How long the exchange may take, in ms. */
const PATIENCE = 150_000;

describe(`${PAIRS} pairs, ${MESSAGES} messages each way, ${WINDOW} in flight: each once, in order, acked as delivered`, { concurrency: true }, () => {
  for (let pair = 0; pair < PAIRS; pair++) {
    const [left, right] = pairs[pair % pairs.length];
    it(`${left} and ${right}`, { timeout: PATIENCE }, async (t) => {
      const [a, b] = [open(t, left), open(t, right)];
      await Promise.all([a.ready(), b.ready()]);
      const began = performance.now();
      await Promise.all([exchange(a, b), exchange(b, a)]);
      if (SLOW) t.diagnostic(`${a.unknown + b.unknown} answered 2100`);
      const rate = (2 * MESSAGES) / ((performance.now() - began) / 1000);
      t.diagnostic(`${Math.round(rate)} messages per second`);
      assert.deepEqual([a.lost, b.lost], [[], []], 'lost connections');
    });
  }
});

async function exchange(sender, receiver) {
  const delivered = [];
  await eachOf(MESSAGES, WINDOW, async (i) => {
    const args = await new Promise((resolve) => sender.send(receiver.name, i, resolve));
    if (SLOW && args[0] === 2100) return;
    assert.deepEqual(args, [], `arguments of the ack of message ${i}`);
    delivered.push(i);
  });
  sender.unknown = MESSAGES - delivered.length;
  // What is acked was accepted for the receiver's socket, on which it may still be on its way.
  await receiver.until('the last message', () => receiver.inbox.length >= delivered.length, 30_000);
  await new Promise((resolve) => setTimeout(resolve, 200)); // for what should not come
  const came = receiver.inbox.map((m) => m.data);
  assert.deepEqual(came, [...new Set(came)].sort((x, y) => x - y), 'once, and in order');
  assert.deepEqual(delivered.filter((i) => !came.includes(i)), [], 'acked and not delivered');
  assert.ok(receiver.inbox.every((m) => m.from === sender.name));
}
