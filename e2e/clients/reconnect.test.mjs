// Messages written while the network is away: the client library keeps them, reconnects by itself and sends them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { four, join, json, product, three, two } from './clients.mjs';
import { name, STRAGGLERS } from './endpoint.mjs';

const BUFFERED = 5; // messages written while offline
const REFUSED = 2100; // a straggler
const rounds = ['drop', 'cut', 'drop', 'cut']; // how the connection is lost

// How clients authenticate on each connection, and how many of the messages they still have when they are told of it:
// most libraries have sent them by then, so that those come before the authentication.
const senders = [
  { kind: two, how: 'event', unsent: 0 },
  { kind: three, how: 'event', unsent: BUFFERED },
  { kind: four, how: 'event', unsent: 0 },
  { kind: two, how: 'query', unsent: 0 },
];

describe('messages written while offline arrive once, in order, and are acked', { concurrency: 2 }, () => {
  for (const [{ kind, how, unsent }, receiver] of product(senders, [four, json])) {
    it(`${kind.name} by the ${how} to ${receiver.name}, ${rounds.length} times`, async (t) => {
      const [a, b] = await Promise.all([
        join(t, kind, { token: name('a'), how }),
        join(t, receiver, { token: name('b') }),
      ]);
      const sent = [];
      const send = async (text) => {
        const message = { text };
        sent.push(message);
        return message.code = await a.send(b.user, text);
      };

      assert.equal(await send('before'), 0);
      for (const [i, lose] of rounds.entries()) {
        await a[lose]();
        assert.equal(a.connected, false);
        const acks = Array.from({ length: BUFFERED }, (_, n) => send(`round ${i}, buffered ${n}`));
        assert.equal(await a.ready(i + 2), a.user);
        const codes = await Promise.all(acks);
        const due = codes.map((code) => (STRAGGLERS && code === REFUSED ? REFUSED : 0));
        assert.deepEqual(codes, due, `acks of round ${i}`);
        assert.equal(await send(`round ${i}, online`), 0);
      }
      const expected = sent.filter(({ code }) => code === 0).map(({ text }) => text);
      await b.inbox.reach(expected.length, 'message');
      assert.deepEqual(b.inbox.entries.map((m) => m.data), expected);
      assert.equal(a.attempts, 1 + rounds.length);
      assert.deepEqual(a.journal.all('connect').slice(1).map((e) => e.unsent), rounds.map(() => unsent));
      assert.deepEqual(a.strays, []);
      assert.equal(await b.send(a.user, 'and back'), 0);
      await a.inbox.first('message');
    });
  }
});
