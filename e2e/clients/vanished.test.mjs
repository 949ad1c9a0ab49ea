// Clients whose end nobody reports: on a server that loses every $disconnect and sweeps every SWEEP ms.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, kinds } from './clients.mjs';
import { name, SWEEP } from './endpoint.mjs';
import { eventually, WAIT } from './wait.mjs';

describe('a client that vanishes', { concurrency: true, skip: SWEEP === undefined && 'SWEEP is not set' }, () => {
  for (const kind of kinds) {
    it(`${kind.name}: is offline after the next sweep, and who stays is not`, async (t) => {
      const observer = await join(t, json, { token: name('observer') });
      const [goes, stays] = await Promise.all([join(t, kind, { token: name('goes') }), join(t, kind, { token: name('stays') })]);
      for (const { user } of [goes, stays]) assert.equal(await online(observer, user), true);

      goes.manager?.reconnection(false);
      await goes.cut();
      await eventually('the sweep', () => online(observer, goes.user), (is) => !is, SWEEP + WAIT);

      assert.equal(await online(observer, stays.user), true);
      assert.equal(stays.attempts, 1);
      assert.equal(await observer.send(stays.user, 'still there?'), 0);
      assert.equal((await stays.inbox.first('message')).data, 'still there?');
    });
  }
});

/** Whether a user is online, as a JSON client is told. */
async function online(client, user) {
  const before = client.journal.count('presence');
  client.write({ type: 'presence', user });
  const answer = await client.journal.nth(before + 1, 'presence');
  assert.equal(answer.user, user);
  return answer.online;
}
