// A sender that says all at once, as an SDK does with its candidates, against what DynamoDB serves of one key.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { open, pairs } from './client.mjs';

/** How many messages are sent at once, and how many bytes each has. */
const MESSAGES = Number(process.env.MESSAGES ?? 100);
const BYTES = Number(process.env.BYTES ?? 2000);
/** How long that may take until it counts as hung, in ms. */
const PATIENCE = 120_000;

describe(`${MESSAGES} messages of ${BYTES} bytes at once: each once, in order, acked as delivered`, () => {
  const [left, right] = pairs.at(-1);
  it(`${left} to ${right}`, { timeout: PATIENCE }, async (t) => {
    const [sender, receiver] = [open(t, left), open(t, right)];
    await Promise.all([sender.ready(), receiver.ready()]);
    const sent = Array.from({ length: MESSAGES }, (_, i) => `${i} `.padEnd(BYTES, 'x'));
    const began = performance.now();
    const acks = Promise.all(sent.map((data) => new Promise((resolve) => sender.send(receiver.name, data, resolve))));
    await receiver.until('the last message', () => receiver.inbox.length >= MESSAGES, PATIENCE);
    const delivered = performance.now() - began;
    assert.deepEqual(await acks, sent.map(() => []), 'arguments of the acks');
    t.diagnostic(`the last is delivered after ${Math.round(delivered)} ms, and acked after ${Math.round(performance.now() - began)}`);
    await new Promise((resolve) => setTimeout(resolve, 200)); // for what should not come
    assert.deepEqual(receiver.inbox.map((m) => m.data), sent);
    assert.deepEqual([sender.lost, receiver.lost], [[], []], 'lost connections');
  });
});
