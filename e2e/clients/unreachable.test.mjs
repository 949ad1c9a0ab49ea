// Users who are not there.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, kinds, product, socketIOKinds } from './clients.mjs';
import { name } from './endpoint.mjs';
import { eventually } from './wait.mjs';

describe('a message to an absent user', { concurrency: 8 }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name}: the ack has exactly one argument, the number 2201`, async (t) => {
      const client = await join(t, kind, { token: name() });
      const answer = await client.answer(client.emit('owt-message', { to: name('nobody'), data: 'hello' }), 'the ack');
      assert.deepEqual(answer, [2201]);
      assert.equal(typeof answer[0], 'number');
    });
  }

  it('JSON: an error with the id and code of the message', async (t) => {
    const client = await join(t, json, { token: name() });
    const { message, ...rest } = await client.answer(client.ask(name('nobody'), '"hello"'), 'the error');
    assert.deepEqual(rest, { type: 'error', id: 1, code: 2201 });
    assert.equal(typeof message, 'string');
  });

  for (const kind of kinds) {
    it(`${kind.name}: others are not held up, and keep their order`, async (t) => {
      const [client, peer] = await Promise.all([join(t, kind, { token: name() }), join(t, json, { token: name() })]);
      const nobody = name('nobody');
      const receivers = Array.from({ length: 30 }, (_, i) => (i % 3 ? peer.user : nobody));
      const codes = await Promise.all(receivers.map((to, i) => client.send(to, i)));
      assert.deepEqual(codes, receivers.map((to) => (to === nobody ? 2201 : 0)));
      const expected = receivers.flatMap((to, i) => (to === nobody ? [] : [i]));
      await peer.inbox.reach(expected.length, 'message');
      assert.deepEqual(peer.inbox.entries.map((m) => m.data), expected);
    });
  }
});

describe('a user who leaves is unreachable soon, and reachable on coming back', { concurrency: 8 }, () => {
  for (const [callee, caller] of product(kinds, kinds)) {
    it(`${callee.name} leaves, ${caller.name} calls`, async (t) => {
      const token = name();
      const [a, b] = await Promise.all([join(t, caller, { token: name() }), join(t, callee, { token })]);
      assert.equal(await a.send(token, 'are you there?'), 0);
      await b.inbox.first('message');

      b.close();
      await eventually('2201', () => a.send(token, 'still there?'), (code) => code === 2201);
      assert.equal(await a.send(token, 'surely not'), 2201, 'it stays so');

      const again = await join(t, callee, { token });
      assert.equal(await a.send(token, 'welcome back'), 0);
      await again.inbox.first('message');
      assert.deepEqual(again.inbox.entries.map((m) => m.data), ['welcome back'], 'nothing from before');
    });
  }
});
