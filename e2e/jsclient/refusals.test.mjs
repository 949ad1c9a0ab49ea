// Each way in which a first connect fails, at once, and says why: in Node with the package ws, and with a WebSocket of its own. At once is
// by no timer of the client's: they do not go off.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket as Ws } from 'ws';
import { Code, SignalError, SignalingChannel, SignalingClient } from '../../clients/js/index.js';

/** A server that allows one origin, and those who have none. */
const { SERVER, SECURE } = process.env;

/** As a page of another origin, which only a browser is. */
class Elsewhere extends Ws {
  constructor(url, protocols) {
    super(url, protocols, { origin: 'https://elsewhere.test' });
  }
}

/** A clock that stands still: what is for later does not come. */
const still = { now: () => 0, setTimeout: (act, ms) => (ms === 0 ? setTimeout(act) : undefined), clearTimeout };

/** A port that nobody listens on. */
async function nobody() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => server.on('listening', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return `http://127.0.0.1:${port}`;
}

const WAYS = [
  { way: 'nobody listens', login: async () => ({ url: await nobody() }), code: Code.UNAVAILABLE, ws: /ws:\/\/127.*cannot be reached: .*ECONNREFUSED.*nobody listens there/ },
  { way: 'a wrong path', login: () => ({ url: `${SERVER}/of/nothing` }), code: Code.UNAVAILABLE, ws: /\/of\/nothing cannot be reached: .*403: the path is wrong/ },
  { way: 'an origin that is not allowed', login: () => ({ url: SERVER }), WebSocket: Elsewhere, code: Code.UNAVAILABLE, ws: /403: .*does not allow the origin/ },
  { way: 'a certificate that is self-signed', login: () => ({ url: SECURE }), code: Code.UNAVAILABLE, ws: /certificate.*NODE_EXTRA_CA_CERTS/ },
  { way: 'a token function that throws', login: () => ({ url: SERVER, token: () => { throw new Error('no cookie'); } }), code: Code.UNAUTHENTICATED, any: /the token function failed: no cookie/ },
  { way: 'a token function that brings nothing', login: () => ({ url: SERVER, token: async () => undefined }), code: Code.UNAUTHENTICATED, any: /brought undefined/ },
  { way: 'a token that is refused', login: () => ({ url: SERVER, token: 'x'.repeat(257) }), code: Code.WRONG_TOKEN, any: /the server says: / },
  { way: 'a version that is refused', login: () => ({ url: `${SERVER}?clientVersion=1.0`, token: 'old' }), code: Code.UNSUPPORTED, any: /the server says: / },
];

for (const [kind, Given] of [['ws', Ws], ['a WebSocket of its own', globalThis.WebSocket]]) {
  describe(`with ${kind}`, { skip: !Given }, () => {
    for (const { way, login, WebSocket = Given, code, ws, any } of WAYS) {
      it(way, { skip: WebSocket === Elsewhere && Given !== Ws }, async (t) => {
        const client = new SignalingClient({ WebSocket, clock: still });
        const began = performance.now();
        const error = await client.connect({ token: 'alice', ...await login() }).then(() => assert.fail('is connected'), (e) => e);
        t.diagnostic(`${Math.round(performance.now() - began)} ms: ${error.message}`);
        assert.ok(error instanceof SignalError, error);
        assert.equal(error.code, code);
        assert.match(error.message, any ?? (kind === 'ws' ? ws : /cannot be reached: .*nobody listens there, the path is wrong, /));
        assert.equal(client.state, 'disconnected');

        const channel = new SignalingChannel({ WebSocket, clock: still });
        assert.equal(await channel.connect({ token: 'alice', ...await login() }).catch((number) => number), code, 'as OWT\'s SDK wants it');
      });
    }
  });
}

it('after a few attempts, if it is told to try again, and says so', async () => {
  const client = new SignalingClient({ WebSocket: Ws, retryFirst: true, reconnectFirst: 10, reconnectAttempts: 2 });
  const retries = [];
  client.onRetry = ({ attempt, delay, reason }) => {
    assert.ok(delay > 0 && reason instanceof SignalError);
    retries.push(attempt);
  };
  await assert.rejects(client.connect({ url: await nobody(), token: 'alice' }), /nobody listens there/);
  assert.deepEqual(retries, [1, 2]);
});
