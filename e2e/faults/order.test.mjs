// What late, repeated and overtaking invocations must not change.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { open, pairs } from './client.mjs';
import { exchange, WINDOW } from './exchange.mjs';

/** How many messages each of two clients sends the other. */
const MESSAGES = Number(process.env.MESSAGES ?? 300);
/** How long the exchange may take, in ms. */
const PATIENCE = 150_000;

describe(`${MESSAGES} messages each way, ${WINDOW} in flight: each once, in order, acked as delivered`, { concurrency: true }, () => {
  for (const [left, right] of pairs) {
    it(`${left} and ${right}`, { timeout: PATIENCE }, async (t) => {
      const [a, b] = [open(t, left), open(t, right)];
      await Promise.all([a.ready(), b.ready()]);
      const began = performance.now();
      await Promise.all([exchange(a, b, MESSAGES), exchange(b, a, MESSAGES)]);
      const rate = (2 * MESSAGES) / ((performance.now() - began) / 1000);
      t.diagnostic(`${Math.round(rate)} messages per second`);
      assert.deepEqual([a.lost, b.lost], [[], []], 'lost connections');
    });
  }
});
