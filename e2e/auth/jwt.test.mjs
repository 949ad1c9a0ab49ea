// Tokens of a real issuer: in every way that a token travels, on every kind of client.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, open, product, socketIOKinds, three, two } from '../clients/clients.mjs';
import { name } from '../clients/endpoint.mjs';
import { sleep } from '../clients/wait.mjs';
import { wantEnded, wantGone, wantRefused } from './refused.mjs';

const { ISSUER, DOWN_ENDPOINT, ONLY_ENDPOINT, PINGED } = process.env;

/** A token of the issuer's. */
async function token(asked) {
  const response = await fetch(`${ISSUER}/token?${new URLSearchParams(asked)}`);
  return response.text();
}

const ways = [
  ...product(socketIOKinds, ['event', 'query', 'header', 'subprotocol']), ...product([json], ['query', 'header', 'subprotocol']),
];

describe('a good token', { concurrency: 8 }, () => {
  for (const [kind, how] of ways) {
    it(`${kind.name}: ${how}`, async (t) => {
      const user = name('用户1');
      const client = open(t, kind, { token: await token({ sub: user }), how });
      assert.equal(await client.ready(), user);
      assert.equal(await client.send(user, 'to myself'), 0);
      assert.equal((await client.inbox.first('message')).from, user);
      if (how === 'subprotocol' && kind === json) assert.equal(client.socket.protocol, 'owt.signal.v1');
    });
  }
});

describe('a bad token: 2121', { concurrency: 8 }, () => {
  const bad = [{ forged: 1 }, { seconds: -1 }, { aud: 'bank' }];
  for (const [[kind, how], asked] of product(ways, bad)) {
    it(`${kind.name}: ${how}: ${Object.keys(asked)}`, async (t) => {
      const client = open(t, kind, { token: await token({ sub: name(), ...asked }), how });
      await wantRefused(client, kind, how, 2121);
    });
  }
});

describe('a token of 10 KB: 2121', { concurrency: 8 }, () => {
  for (const [kind, how] of ways.filter(([, how]) => how === 'event' || how === 'header')) { // the query holds no more than 4 KB
    it(`${kind.name}: ${how}`, async (t) => {
      await wantRefused(open(t, kind, { token: 'x'.repeat(10 << 10), how }), kind, how, 2121);
    });
  }
});

describe('no token: 2120', { concurrency: 8 }, () => {
  for (const [kind, how] of ways.filter(([, how]) => how === 'event' || how === 'query')) {
    it(`${kind.name}: ${how}`, async (t) => {
      const client = open(t, kind, { how });
      await wantRefused(client, kind, how, 2120);
    });
  }
});

describe('a client that buffered messages and is refused', { concurrency: 8 }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name}: its token is answered 2121, and those messages 2120 that are before the connection ends`, async (t) => {
      const client = open(t, kind, { token: 'bad', how: 'none' });
      const acks = [];
      for (const _ of [1, 2, 3]) client.post(name(), 'buffered').then((code) => acks.push(code));
      const refused = client.authenticate({ token: 'bad' });
      assert.deepEqual(await client.answer(refused, 'the ack of the authentication'), [{ error: 2121 }]);
      const { reason } = await client.journal.first('disconnect');
      assert.equal(reason, 'io server disconnect');
      await wantGone(client);
      assert.ok(acks.every((code) => code === 2120), `acks ${acks}`);
    });
  }
});

describe('a token that ends while its client is connected', { concurrency: 16 }, () => {
  for (const [kind, how] of ways) {
    it(`${kind.name}: ${how}: 2121 for the next message, and the connection ends`, async (t) => {
      const user = name();
      const client = open(t, kind, { token: await token({ sub: user, seconds: 4 }), how });
      await client.ready();
      const peer = await join(t, json, { token: await token({ sub: name() }), how: 'header' }).catch(() => undefined);
      assert.equal(await client.send(user, 'before'), 0);
      await sleep(4500);
      // What is sent now, all at once, is answered alike; where the server pings often, it may have been quicker.
      const codes = await Promise.race([
        client.answer(Promise.all([1, 2, 3].map(() => client.post(user, 'after'))), 'the acks'), client.journal.first(kind === json ? 'closed' : 'disconnect'),
      ]);
      if (Array.isArray(codes)) assert.deepEqual(codes, [2121, 2121, 2121]);
      await wantEnded(client, kind);
      if (peer) assert.equal(await peer.send(user, 'anybody?'), 2201);
    });
  }

  for (const kind of [...socketIOKinds, json]) {
    it(`${kind.name}: the server finds out by itself`, { skip: !PINGED }, async (t) => {
      const client = open(t, kind, { token: await token({ sub: name(), seconds: 3 }), how: 'query' });
      await client.ready();
      await wantEnded(client, kind);
    });
  }
});

describe('nobody gets in by an issuer that is down: 2101', { skip: !DOWN_ENDPOINT, concurrency: 8 }, () => {
  for (const [kind, how] of ways) {
    it(`${kind.name}: ${how}`, async (t) => {
      const client = open(t, kind, { endpoint: DOWN_ENDPOINT, token: await token({ sub: name() }), how });
      await wantRefused(client, kind, how, 2101);
    });
  }
});

describe('ways that are not accepted count as no token', { skip: !ONLY_ENDPOINT, concurrency: 8 }, () => {
  for (const [kind, how] of ways) {
    const accepted = how === 'header' || how === 'subprotocol';
    it(`${kind.name}: ${how}: ${accepted ? 'accepted' : 'anonymous'}`, async (t) => {
      const user = name();
      const version = how === 'query' && kind !== json ? '5.0' : undefined;
      const client = open(t, kind, { endpoint: ONLY_ENDPOINT, token: await token({ sub: user }), how, version });
      if (how === 'query' && kind !== json) { // which is one that authenticates later, and does not
        await sleep(500);
        assert.equal(client.journal.count('server-authenticated'), 0);
        return;
      }
      const got = await client.ready();
      if (accepted) assert.equal(got, user);
      else assert.match(got, /^[0-9a-f]{32}@anonymous$/);
    });
  }

  it('versions by the type of client', async (t) => {
    for (const [version, type, served] of [['5.0', 'Web', true], ['4.3.1', 'Web', false], ['4.3.1', 'Android', true], [undefined, 'Android', false]]) {
      const client = open(t, two, { endpoint: ONLY_ENDPOINT, how: 'none', version: version ?? '', type });
      if (served) await client.journal.first('connect');
      else assert.equal((await client.journal.first('error')).error, '2103');
    }
  });
});

// The token of a browser is seen by nobody but the server.
it(`${three.name}: the answer to a handshake does not have the token`, async (t) => {
  const client = open(t, json, { token: await token({ sub: name() }), how: 'subprotocol' });
  let headers;
  client.socket.on('upgrade', (response) => { headers = response.rawHeaders.join('\n'); });
  await client.ready();
  assert.match(headers, /owt\.signal\.v1/);
  assert.doesNotMatch(headers, /owt\.token/);
});
