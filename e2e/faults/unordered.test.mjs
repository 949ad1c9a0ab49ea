// The control of order.test.mjs: under the same faults, messages without a number do overtake one another. Were it not
// so, the faults would prove nothing. Each arrives once, though, also where its invocation runs twice.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, pairs } from './client.mjs';

const MESSAGES = 40;
const ROUNDS = 10;
const WAIT = 30_000; // for a round, in ms
const LATE = 500; // when what comes a second time has come, in ms

describe('messages that ask for no ack overtake one another', { concurrency: true }, () => {
  for (const [left, right] of pairs) {
    it(`${left} to ${right}`, async (t) => {
      const [a, b] = [open(t, left), open(t, right)];
      await Promise.all([a.ready(), b.ready()]);
      for (let round = 1; round <= ROUNDS; round++) {
        b.inbox = [];
        for (let i = 0; i < MESSAGES; i++) a.fire(b.name, i);
        await b.until('the messages', () => b.inbox.length >= MESSAGES, WAIT);
        await sleep(LATE);
        assert.equal(b.inbox.length, MESSAGES, 'each once');
        const late = b.inbox.filter((m, i) => i > 0 && m.data < b.inbox[i - 1].data).length;
        if (late > 0) {
          t.diagnostic(`seen in round ${round}: ${late} of ${b.inbox.length} after one that was sent later`);
          return;
        }
      }
      assert.fail(`${ROUNDS} times ${MESSAGES} messages arrived in order`);
    });
  }
});
