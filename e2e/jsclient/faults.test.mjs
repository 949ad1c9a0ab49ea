// The client against a server that misbehaves as AWS may.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { burst, Client, MESSAGES, PATIENCE, wantAll } from './burst.mjs';
import { Proxy } from './proxy.mjs';

const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';

it('invocations and posts that are late and repeated, and a slow store', { timeout: PATIENCE }, async (t) => {
  const [grace, heidi] = await Promise.all([Client.open(t, SERVER, 'grace'), Client.open(t, SERVER, 'heidi')]);
  await burst(t, grace, heidi, { there: MESSAGES / 2 });
  wantAll(grace, heidi);
  wantAll(heidi, grace);
  for (const c of [grace, heidi]) assert.equal(c.count('reconnecting'), 0);
});

it('and connections that end without anybody being told', { timeout: PATIENCE }, async (t) => {
  const proxy = await Proxy.before(SERVER);
  t.after(() => proxy.close());
  const ivan = await Client.open(t, proxy.origin, 'ivan');
  const judy = await Client.open(t, SERVER, 'judy');
  const cut = async (i) => {
    proxy.cut();
    while (ivan.count('connected') < i) await sleep(2);
  };
  await burst(t, ivan, judy, { there: MESSAGES / 2, back: 0, times: 4, fail: cut });
  wantAll(ivan, judy);
  assert.equal(ivan.count('reconnecting'), 4);
});
