// A function of the user's own says who clients are: internal/auth/testdata/accounts.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { json, kinds, open, product, socketIOKinds } from '../clients/clients.mjs';
import { name } from '../clients/endpoint.mjs';
import { wantEnded, wantRefused } from './refused.mjs';

const ways = [...product(socketIOKinds, ['event', 'query']), [json, 'query']];

describe('who the function lets in', { concurrency: 8 }, () => {
  for (const [kind, how] of ways) {
    it(`${kind.name}: ${how}`, async (t) => {
      const user = name();
      const client = open(t, kind, { token: `user:${user}`, how });
      assert.equal(await client.ready(), user);
    });
  }
});

describe('who it does not: 2121', { concurrency: 8 }, () => {
  for (const [kind, how] of ways) {
    it(`${kind.name}: ${how}`, async (t) => {
      await wantRefused(open(t, kind, { token: 'a-secret-word', how }), kind, how, 2121);
    });
  }
});

describe('a function that fails, lies or is slow lets nobody in: 2101', { concurrency: 8 }, () => {
  const tokens = ['error:a-secret-word', 'panic:a-secret-word', 'raw:{"user":7}', 'user:', `user:${'x'.repeat(257)}`, 'slow'];
  for (const [kind, token] of product(kinds, tokens)) {
    const how = kind === json ? 'query' : 'event';
    it(`${kind.name}: ${token.slice(0, 20)}`, async (t) => {
      await wantRefused(open(t, kind, { token, how }), kind, how, 2101);
    });
  }
});

// A token that comes by the event comes long after the handshake.
for (const kind of socketIOKinds) {
  it(`${kind.name}: what the function is asked`, async (t) => {
    const client = open(t, kind, { token: 'echo', how: 'event', version: '5.0', headers: { 'X-Device': 'phone', 'X-Other': 'secret' } });
    assert.deepEqual(JSON.parse(await client.ready()), {
      token: 'echo', clientType: 'Web', clientVersion: '5.0', sourceIp: '127.0.0.1', headers: { 'x-device': 'phone' },
    });
  });

  it(`${kind.name}: until when the function says`, async (t) => {
    const client = open(t, kind, { token: `until:${Date.now() / 1000 + 2}`, how: 'event' });
    assert.equal(await client.ready(), 'alice');
    await wantEnded(client, kind);
  });
}
