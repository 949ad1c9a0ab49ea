// A client that recovers and comes back to a stack, whose functions keep history in its table.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { join, json } from '../clients/clients.mjs';
import { name } from '../clients/endpoint.mjs';

it('what a client has missed is sent again when it comes back', async (t) => {
  const [alice, bob] = [name(), name()];
  const sender = await join(t, json, { token: alice });
  const first = await join(t, json, { token: bob, recovery: { recover: 1 } });
  const { recover, epoch, seq } = await first.journal.first('welcome');
  assert.ok(recover > 0, `recover ${recover}`);
  for (const n of [1, 2, 3]) assert.equal(await sender.send(bob, n), 0);
  const second = await join(t, json, { token: bob, recovery: { recover: 1, epoch, since: seq + 1 } });
  const welcome = await second.journal.first('welcome');
  assert.deepEqual([welcome.epoch, welcome.seq, welcome.recovered, welcome.from], [epoch, seq + 3, true, seq + 2]);
  assert.equal((await second.journal.first('replayed')).seq, seq + 3);
  assert.deepEqual(second.inbox.all('message').map((m) => [m.seq, m.from, m.data]), [[seq + 2, alice, 2], [seq + 3, alice, 3]]);
  assert.equal(await sender.send(bob, 4), 0);
  assert.equal((await second.inbox.nth(3, 'message')).data, 4);
});
