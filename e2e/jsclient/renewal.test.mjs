// Connections that reach their age, on a server that closes them after some seconds: the client renews them before, and
// nobody notices.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { burst, Client, PATIENCE, wantAll } from './burst.mjs';

const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';
/** When a connection is renewed, in ms: well before the server closes it. */
const RENEW = Number(process.env.RENEW ?? 110 * 60_000);
const RENEWALS = 3;

it(`connections are renewed every ${RENEW} ms`, { timeout: PATIENCE }, async (t) => {
  const connections = new Map();
  const open = async (name) => {
    const client = await Client.open(t, SERVER, name, { renewAfter: RENEW, deadAfter: PATIENCE });
    const seen = new Set();
    connections.set(client, seen);
    client.channel.onFrame = ({ connection }) => connection && seen.add(connection);
    return client;
  };
  const [erin, frank] = await Promise.all([open('erin'), open('frank')]);
  await burst(t, erin, frank, { atLeast: RENEWALS * RENEW });
  wantAll(erin, frank);
  wantAll(frank, erin);
  for (const [client, seen] of connections) {
    t.diagnostic(`${client.name}: ${seen.size} connections`);
    assert.ok(seen.size > RENEWALS, 'renewed');
    assert.deepEqual(client.journal.filter((e) => e.gap || e.state), [], `${client.name} notices`);
  }
});
