// The client over the end of the server: it is killed, which nobody is told, and started again.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { burst, Client, MESSAGES, missing, PATIENCE, wantReported, WINDOW } from './burst.mjs';
import { Server } from './server.mjs';

/** The endpoint of a DynamoDB that lives on, and what part of the messages it gets: it is the slower one. */
const { DYNAMODB } = process.env;
const SHARE = 0.08;

/** Two clients send each other messages while the server is killed. Says where each of them was when it was. */
async function restarted(t, args, each, times) {
  const server = await Server.start(...args);
  t.after(() => server.close());
  const [alice, bob] = await Promise.all([Client.open(t, server.origin, 'alice'), Client.open(t, server.origin, 'bob')]);
  const killed = new Map([[alice, []], [bob, []]]);
  await burst(t, alice, bob, {
    there: each, times, fail: async () => {
      for (const [client, at] of killed) at.push(client.ended);
      await server.restart();
    },
  });
  for (const { channel } of [alice, bob]) assert.equal(channel.state, 'connected');
  return { alice, bob, near: (client, i) => killed.get(client).some((at) => Math.abs(i - at) <= 2 * WINDOW) };
}

/**
 * What was accepted came, once and in order; but for a few that had not reached the socket when the process ended, and
 * of those the receiver knows.
 */
function wantNearlyAll(t, from, to, near) {
  const lost = missing(from, to);
  if (lost.length > 0) t.diagnostic(`accepted for ${to.name} and gone with the process: ${lost}`);
  assert.deepEqual(lost.filter((i) => !near(from, i)), [], 'accepted long before the end, and not received');
  wantReported(from, to);
}

it('with its memory: the session is forgotten, and receivers know what they have', { timeout: PATIENCE }, async (t) => {
  const { alice, bob, near } = await restarted(t, [], MESSAGES / 2, 3);
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    assert.deepEqual(from.ends.filter((code) => code !== 0), [], `${from.name}: failures`);
    wantNearlyAll(t, from, to, near);
  }
});

it('on DynamoDB: the session goes on', { timeout: PATIENCE, skip: !DYNAMODB }, async (t) => {
  const times = 2;
  const { alice, bob, near } = await restarted(t, ['-dynamodb', DYNAMODB], MESSAGES / 2 * SHARE, times);
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    // Of what an invocation was at work on when it died, nobody knows how it ended; it is not tried again, and told so.
    // And the first to a receiver that is not back yet is told that.
    const failed = from.ends.map((code, i) => ({ code, i })).filter(({ code }) => code !== 0);
    const strange = failed.filter(({ code, i }) => ![2100, 2201].includes(code) || !near(from, i));
    assert.deepEqual(strange, [], `${from.name}: failures`);
    assert.ok(failed.filter(({ code }) => code === 2201).length <= times, 'at most one a time');
    wantNearlyAll(t, from, to, near);
  }
});
