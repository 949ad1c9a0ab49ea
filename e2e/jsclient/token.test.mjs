// Tokens that end: a connection ends with its own, and the client goes on with the next.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WebSocket } from 'ws';
import { Code, SignalingChannel } from '../../clients/js/index.js';
import { burst, Client, PATIENCE, wantAll } from './burst.mjs';
import { jwt } from './jwt.mjs';

const { SERVER, SECRET } = process.env;
/** How long a token lasts, in s. */
const LIFE = 3;

/** A JSON Web Token for a user. */
const token = (sub, life = LIFE) => jwt({ sub, aud: 'owt' }, life, SECRET);

async function join(t, name, options, life = LIFE) {
  const client = new Client(name, options);
  t.after(() => client.channel.disconnect());
  let asked = 0;
  client.asked = () => asked;
  const login = { host: SERVER, token: async () => { asked++; return token(name, life); } };
  assert.equal(await client.channel.connect(login), name);
  client.journal = [];
  return client;
}

it('a connection that outlives its token is followed by another', { timeout: PATIENCE }, async (t) => {
  const [kim, lee] = await Promise.all([join(t, 'kim'), join(t, 'lee', {}, 600)]);
  await burst(t, kim, lee, { there: 300, back: 0, atLeast: 1500 * LIFE });
  wantAll(kim, lee);
  assert.ok(kim.asked() >= 2, `${kim.asked()} tokens`);
  assert.equal(kim.channel.state, 'connected');
});

it('nobody notices, where connections are renewed before', { timeout: PATIENCE }, async (t) => {
  const life = 3 * LIFE; // so that a renewal may come late
  const [max, mia] = await Promise.all(['max', 'mia'].map((name) => join(t, name, { renewAfter: 1000, deadAfter: PATIENCE }, life)));
  await burst(t, max, mia, { there: 300, atLeast: 1500 * life });
  wantAll(max, mia);
  wantAll(mia, max);
  for (const client of [max, mia]) assert.deepEqual(client.journal.filter((e) => e.gap || e.state), [], client.name);
});

it('a token that is given once is one', async (t) => {
  const channel = new SignalingChannel({ WebSocket, heartbeat: 500 });
  t.after(() => channel.disconnect());
  const ended = new Promise((resolve) => { channel.onServerDisconnected = resolve; });
  await channel.connect({ host: SERVER, token: token('noa') });
  while (channel.state === 'connected') {
    await channel.send('noa', 'x').catch((code) => assert.equal(code, Code.WRONG_TOKEN));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { reason, code } = await ended;
  assert.deepEqual({ reason, code }, { reason: 'refused', code: Code.WRONG_TOKEN });
});

it('a wrong one is refused, and so is none', async () => {
  const channel = new SignalingChannel({ WebSocket });
  for (const [wrong, code] of [[`${token('x')}x`, Code.WRONG_TOKEN], [token('x', -10), Code.WRONG_TOKEN], [undefined, Code.UNAUTHENTICATED]]) {
    await assert.rejects(channel.connect({ host: SERVER, token: wrong }), (refusal) => refusal === code);
  }
});
