// The client against the real server: however connections end, messages arrive once and in order.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { burst, Client, MESSAGES, missing, PATIENCE, wantAll } from './burst.mjs';
import { Proxy } from './proxy.mjs';

const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';

it('undisturbed', { timeout: PATIENCE }, async (t) => {
  const [alice, bob] = await Promise.all([Client.open(t, SERVER, 'alice'), Client.open(t, SERVER, 'bob')]);
  await burst(t, alice, bob);
  wantAll(alice, bob);
  wantAll(bob, alice);
  for (const c of [alice, bob]) assert.deepEqual(c.journal.filter((e) => e.gap), []);
});

describe('a network that fails again and again', () => {
  let proxy;
  before(async () => { proxy = await Proxy.before(SERVER); });
  after(() => proxy.close());

  for (const [name, fail, times] of [
    ['cut', () => proxy.cut(), 20],
    ['half open', () => proxy.freeze(), 3],
  ]) {
    it(`${name}, ${times} times`, { timeout: PATIENCE }, async (t) => {
      const carol = await Client.open(t, proxy.origin, `carol, ${name}`); // whose network it is
      const dave = await Client.open(t, SERVER, `dave, ${name}`);
      await burst(t, carol, dave, { there: MESSAGES, back: MESSAGES / 10, times, fail });
      // What carol sends arrives: what was lost on the way is sent again.
      wantAll(carol, dave);
      // What is sent to her may be accepted for a connection that is dead, which nobody knows yet. She asks for it afterwards.
      assert.deepEqual(missing(dave, carol), [], 'acked, and not received');
      assert.deepEqual(carol.journal.filter((e) => e.gap), [], 'gaps');
      for (const code of dave.ends) assert.ok(code === 0 || code === 2201, `dave: ${code}`);
      assert.equal(carol.count('reconnecting'), times);
    });
  }
});
