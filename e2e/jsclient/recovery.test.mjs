// A receiver whose network dies without a word, again and again, while others send to it: what was acked comes when it is back, once, in
// order, and nothing is reported lost.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { burst, Client, missing, PATIENCE } from './burst.mjs';
import { Proxy } from './proxy.mjs';

const { SERVER } = process.env;
const COUNT = Number(process.env.MESSAGES ?? 2000);
/** How long the network is dead each time, in ms. */
const OUTAGES = [300, 2500, 50, 1500, 4000];

it(`a network that is dead ${OUTAGES.length} times`, { timeout: PATIENCE }, async (t) => {
  const proxy = await Proxy.before(SERVER);
  t.after(() => proxy.close());
  const carol = await Client.open(t, proxy.origin, 'carol', { connectTimeout: 1000 });
  const dave = await Client.open(t, SERVER, 'dave');
  const fail = async (i) => {
    proxy.swallows = true;
    proxy.freeze();
    await sleep(OUTAGES[i - 1]);
    proxy.swallows = false;
    while (carol.count('connected') < i) await sleep(5);
  };
  await burst(t, dave, carol, { there: COUNT, back: 0, times: OUTAGES.length, fail, atLeast: 5000 });
  const acked = dave.ends.filter((code) => code === 0).length;
  t.diagnostic(`${acked} acked, ${carol.count('reconnecting')} reconnects`);
  assert.deepEqual(missing(dave, carol), [], 'acked, and not received');
  assert.deepEqual(carol.journal.filter((e) => e.gap), [], 'gaps');
  assert.ok(dave.ends.every((code) => code === 0 || code === 2201), `${new Set(dave.ends)}`);
});
