// What no SDK emits, and some client will.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, open, product, socketIOKinds } from './clients.mjs';
import { name, nameOf, STRAGGLERS } from './endpoint.mjs';
import { sleep } from './wait.mjs';

// Less than the time that a number which never comes is waited for, in ms.
const NO_STALL = 2500;

describe('odd emits have their ack, and their place in the order', { concurrency: 8 }, () => {
  const emits = [
    ['an unknown event', ['no-such-event', { to: 'x', data: 'x' }], 2103],
    ['an event without arguments', ['no-such-event'], 2103],
    ['a message without arguments', ['owt-message'], 2110],
    ['a message that is null', ['owt-message', null], 2110],
    ['a message that is a string', ['owt-message', 'x'], 2110],
    ['a message that is an array', ['owt-message', ['x']], 2110],
    ['a message to nobody', ['owt-message', { data: 'x' }], 2110],
    ['a message to the empty name', ['owt-message', { to: '', data: 'x' }], 2110],
    ['a message to a number', ['owt-message', { to: 1, data: 'x' }], 2110],
    ['a message to a name of 257 bytes', ['owt-message', { to: nameOf(257), data: 'x' }], 2110],
    ['a message without data', ['owt-message', { to: 'x' }], 2110],
  ];
  for (const [kind, [label, args, code]] of product(socketIOKinds, emits)) {
    it(`${kind.name}: ${label}: ${code}`, async (t) => {
      const [client, peer] = await pair(t, kind);
      const answers = Promise.all([client.post(peer.user, 1), client.emit(...args), client.post(peer.user, 2)]);
      assert.deepEqual(await client.answer(answers, 'three acks', NO_STALL), [0, [code], 0]);
      await peer.inbox.reach(2, 'message');
      assert.deepEqual(peer.inbox.entries.map((m) => m.data), [1, 2]);
    });
  }
});

describe('emits without an ack', { concurrency: 8 }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name}: a message is delivered`, async (t) => {
      const [client, peer] = await pair(t, kind);
      client.fire('owt-message', { to: peer.user, data: 'no ack asked' });
      const { from, data } = await peer.inbox.first('message');
      assert.deepEqual({ from, data }, { from: client.user, data: 'no ack asked' });
    });

    it(`${kind.name}: authentication is told by server-authenticated`, async (t) => {
      const token = name();
      const client = open(t, kind, { how: 'none' });
      client.fire('authentication', { token });
      const { args } = await client.journal.first('server-authenticated');
      assert.deepEqual(args, [{ uid: token }]);
      const peer = await join(t, json, { token: name('peer') });
      assert.equal(await client.send(peer.user, 'hello'), 0);
      assert.equal(await peer.send(token, 'hello'), 0);
    });

    it(`${kind.name}: nonsense costs nothing, before authentication and after`, async (t) => {
      const nonsense = [['owt-message'], ['owt-message', null], ['owt-message', { to: 'x' }], ['no-such-event', 1],
        ['owt-message', { to: 'x', data: 'y' }]];
      const client = open(t, kind, { how: 'none' });
      for (const args of nonsense) client.fire(...args);
      const token = name();
      assert.deepEqual(await client.answer(client.authenticate({ token }), 'the ack'), [{ uid: token }]);
      for (const args of nonsense) client.fire(...args);
      assert.equal(await client.send(token, 'to myself'), 0);
      assert.equal((await client.inbox.first('message')).data, 'to myself');
    });
  }
});

describe('a connection is one user for its life', { concurrency: 8 }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name}: the same token again is answered as before`, async (t) => {
      const [client, peer] = await pair(t, kind);
      const answers = Promise.all([
        client.post(peer.user, 1), client.emit('authentication', { token: client.user }), client.post(peer.user, 2),
      ]);
      assert.deepEqual(await client.answer(answers, 'three acks', NO_STALL), [0, [{ uid: client.user }], 0]);
      assert.equal(client.journal.count('disconnect'), 0);
      assert.equal(await peer.send(client.user, 'still there?'), 0);
    });

    it(`${kind.name}: another name is refused, and does not become routable`, async (t) => {
      const [client, peer] = await pair(t, kind);
      const other = name('other');
      const [answer] = await client.answer(client.emit('authentication', { token: other }), 'the ack', NO_STALL);
      assert.equal(typeof answer?.error, 'number', `{error} expected, not ${JSON.stringify(answer)}`);
      assert.equal(await peer.send(other, 'anybody?'), 2201);
      assert.equal(await peer.send(client.user, 'still there?'), 0);
      assert.equal(await client.send(peer.user, 'I am'), 0);
      assert.equal((await peer.inbox.first('message')).from, client.user);
      await client.inbox.first('message');
      assert.deepEqual(client.inbox.entries.map((m) => m.data), ['still there?']);
      assert.equal(client.connected, true);
    });
  }
});

describe('messages sent before authentication are held, and delivered after it, in order', { concurrency: 2 }, () => {
  const HELD = 10;
  const ARRIVAL = STRAGGLERS ? 2000 : 300; // how long the messages have to get there, in ms
  const moments = [
    ['on connect', (client) => client.journal.first('connect')],
    ['before connect', () => {}],
  ];
  for (const [kind, [label, moment]] of product(socketIOKinds, moments)) {
    it(`${kind.name}: sent ${label}`, async (t) => {
      const peer = await join(t, json, { token: name('peer') });
      const client = open(t, kind, { how: 'none' });
      await moment(client);
      let acked = 0;
      const acks = Array.from({ length: HELD }, (_, i) => client.post(peer.user, i).finally(() => acked++));
      await client.journal.first('connect');
      await sleep(ARRIVAL);
      assert.deepEqual([peer.inbox.entries.length, acked], [0, 0], 'held');

      const token = name();
      assert.deepEqual(await client.answer(client.authenticate({ token }), 'the ack'), [{ uid: token }]);
      assert.deepEqual(await client.answer(Promise.all(acks), 'the acks of messages'), Array(HELD).fill(0));
      assert.equal(await client.send(peer.user, HELD), 0);
      await peer.inbox.reach(HELD + 1, 'message');
      assert.deepEqual(peer.inbox.entries.map((m) => m.data), Array.from({ length: HELD + 1 }, (_, i) => i));
      assert.ok(peer.inbox.entries.every((m) => m.from === token));
    });
  }

  it('JSON: sent before the welcome', async (t) => {
    const peer = await join(t, json, { token: name('peer') });
    const client = open(t, json, { token: name() });
    await client.journal.first('opened');
    const acks = Array.from({ length: HELD }, (_, i) => client.send(peer.user, i));
    assert.deepEqual(await Promise.all(acks), Array(HELD).fill(0));
    await peer.inbox.reach(HELD, 'message');
    assert.deepEqual(peer.inbox.entries.map((m) => m.data), Array.from({ length: HELD }, (_, i) => i));
  });
});

async function pair(t, kind) {
  return Promise.all([join(t, kind, { token: name() }), join(t, json, { token: name('peer') })]);
}
