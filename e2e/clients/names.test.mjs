// Users' names: which there may be, and those made up for users who come without one.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, kinds, open, product, socketIOKinds, two } from './clients.mjs';
import { name, nameOf } from './endpoint.mjs';

const hows = [['event', 'by the authentication event'], ['query', 'by the query']];

describe('names that are served, of sender and receiver', { concurrency: 8 }, () => {
  const names = [
    ['用户1', () => name('用户1')],
    ['111&222@!;||(){}[]?', () => name('111&222@!;||(){}[]?')],
    ['quotes, spaces, + and %', () => name('"\' \\ + %41%')],
    ['of 256 bytes', () => nameOf(256)],
  ];
  for (const [[kind, [how, by]], [label, make]] of product(product(kinds, hows), names)) {
    if (kind === json && how === 'event') continue; // it has the query only
    it(`${label}: ${kind.name} ${by}`, async (t) => {
      const client = await join(t, kind, { token: make(), how });
      const peer = await join(t, json, { token: make() });
      assert.equal(await client.send(peer.user, 'there'), 0);
      assert.equal(await peer.send(client.user, 'back'), 0);
      assert.equal((await peer.inbox.first('message')).from, client.user);
      assert.equal((await client.inbox.first('message')).from, peer.user);
    });
  }
});

describe('a name of 257 bytes is refused', { concurrency: 8 }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name}: the ack of authentication says {error: 2121}, then the server disconnects`, async (t) => {
      const client = open(t, kind, { token: nameOf(257) });
      const { answer } = await client.journal.first('authenticated');
      assert.deepEqual(answer, [{ error: 2121 }]);
      await turnedAway(client);
    });
  }

  it(`${two.name}, by the query: error '2121'`, async (t) => {
    const client = open(t, two, { token: nameOf(257), how: 'query' });
    const { error } = await client.journal.first('error');
    assert.equal(error, '2121');
    await turnedAway(client);
  });

  it('JSON: error 2121, closing', async (t) => {
    const client = open(t, json, { token: nameOf(257) });
    const { code, closing } = await client.journal.first('error');
    assert.deepEqual({ code, closing }, { code: 2121, closing: true });
    await client.journal.first('closed');
    assert.equal(client.journal.count('welcome'), 0);
  });

  async function turnedAway(client) {
    const { reason } = await client.journal.first('disconnect');
    assert.equal(reason, 'io server disconnect');
    assert.equal(client.journal.count('server-authenticated'), 0);
    assert.equal(client.attempts, 1);
  }
});

describe('a token that is no string is nobody\'s name', { concurrency: 8 }, () => {
  const tokens = [{}, { toString: 'x' }, ['x'], 42, true];
  for (const [kind, token] of product(socketIOKinds, tokens)) {
    it(`${kind.name}: ${JSON.stringify(token)}`, async (t) => {
      const client = open(t, kind, { how: 'none' });
      await client.journal.first('connect');
      assert.deepEqual(await client.answer(client.authenticate({ token }), 'the ack'), [{ error: 2121 }]);
    });
  }
});

describe('without a token a user is anonymous, and reachable', { concurrency: 8 }, () => {
  const ways = [
    ['authentication event, empty token', socketIOKinds, { how: 'event', token: '' }],
    ['authentication event, no token', socketIOKinds, { how: 'event' }],
    ['query, empty token', socketIOKinds, { how: 'query', token: '' }],
    ['query, no token', socketIOKinds, { how: 'query' }],
    ['empty token', [json], { token: '' }],
    ['no token', [json], {}],
  ];
  for (const [kind, way, options] of ways.flatMap(([way, list, options]) => list.map((kind) => [kind, way, options]))) {
    it(`${kind.name}: ${way}`, async (t) => {
      const [client, other] = await Promise.all([join(t, kind, options), join(t, kind, options)]);
      assert.match(client.user, /^[0-9a-f]{32}@anonymous$/);
      assert.notEqual(client.user, other.user);
      assert.equal(await other.send(client.user, 'hello'), 0);
      assert.equal((await client.inbox.first('message')).from, other.user);
    });
  }
});
