// An hour in which nobody says anything, on a server whose timers run IDLE_SCALE times faster.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, socketIOKinds } from './clients.mjs';
import { IDLE_SCALE, name } from './endpoint.mjs';
import { sleep } from './wait.mjs';

const minutes = (n) => (n * 60_000) / IDLE_SCALE;

describe('an idle hour', { concurrency: true, skip: IDLE_SCALE === undefined && 'IDLE_SCALE is not set' }, () => {
  for (const kind of socketIOKinds) {
    it(`${kind.name} stays, by its heartbeat`, async (t) => {
      const [client, peer] = await Promise.all([join(t, kind, { token: name() }), join(t, kind, { token: name() })]);
      await sleep(minutes(60));
      for (const c of [client, peer]) {
        assert.equal(c.journal.count('disconnect'), 0, c.journal.tail());
        assert.equal(c.attempts, 1);
      }
      await converse(client, peer);
    });
  }

  it('JSON stays if it pings', async (t) => {
    const client = await join(t, json, { token: name() });
    const peer = await join(t, json, { token: name() });
    for (let minute = 0; minute < 60; minute += 5) {
      await sleep(minutes(5));
      for (const c of [client, peer]) c.write({ type: 'ping' });
    }
    for (const c of [client, peer]) assert.equal(c.connected, true, c.journal.tail());
    await converse(client, peer);
  });

  it('JSON that says nothing is closed after 10 minutes, by 1001', async (t) => {
    const client = await join(t, json, { token: name() });
    const begun = Date.now();
    const { code } = await client.journal.first('closed', minutes(12) + 2000);
    const idle = Date.now() - begun;
    assert.equal(code, 1001);
    assert.ok(idle > minutes(9), `closed after ${idle} ms, ${minutes(10)} expected`);
  });
});

async function converse(a, b) {
  for (const [from, to] of [[a, b], [b, a]]) {
    assert.equal(await from.send(to.user, 'an hour later'), 0);
    assert.equal((await to.inbox.first('message')).from, from.user);
  }
}
