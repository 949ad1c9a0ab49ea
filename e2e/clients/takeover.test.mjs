// The newest connection of a user owns the name; the one before is told so, and gives up.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { early, join, json, kinds, open, product } from './clients.mjs';
import { name, STRAGGLERS } from './endpoint.mjs';
import { sleep } from './wait.mjs';

const WATCH = 2500; // how long both are watched for a war of reconnects, in ms
const WINDOW = 4; // messages in flight of one who talks
const AT_ONCE = STRAGGLERS ? 12 : true; // a machine on which each invocation has a process would have more than it can run

describe('a second connection of a user takes over', { concurrency: AT_ONCE }, () => {
  for (const [[before, after], state] of product(product(kinds, kinds), ['quiet', 'sending'])) {
    it(`${after.name} from ${before.name}, which is ${state}`, async (t) => {
      const token = name();
      const peer = await join(t, json, { token: name('peer') });
      const old = await join(t, before, { token, how: early(before) });
      assert.equal(await peer.send(token, 'to the old'), 0);
      await old.inbox.first('message');

      const sent = state === 'sending' ? talk(old, peer.user) : [];
      if (state === 'sending') await peer.inbox.reach(5, 'message');
      const young = open(t, after, { token, how: 'event' });
      await young.ready();
      const fence = sent.length;
      assert.equal(await peer.send(token, 'to the new'), 0);

      await dismissed(old, before);
      assert.equal(await peer.send(token, 'to the new again'), 0);
      assert.equal(await young.send(peer.user, 'from the new'), 0);
      await sleep(WATCH);

      for (const client of [old, young]) assert.equal(client.attempts, 1, 'nobody reconnects');
      assert.deepEqual([old.connected, young.connected], [false, true]);
      assert.equal(await peer.send(token, 'to the new, later'), 0);
      assert.equal(await young.send(peer.user, 'from the new, later'), 0);
      await young.inbox.reach(3, 'message');
      assert.deepEqual(texts(young), ['to the new', 'to the new again', 'to the new, later']);
      assert.deepEqual(texts(old), ['to the old']);

      await peer.inbox.find('the last message', (m) => m.data === 'from the new, later');
      assert.deepEqual(texts(peer).filter((d) => typeof d === 'string'), ['from the new', 'from the new, later']);
      const arrived = texts(peer).filter((d) => typeof d === 'number');
      assert.deepEqual(arrived, [...new Set(arrived)].sort((a, b) => a - b), 'of the old, each once and in order');
      assert.ok(arrived.every((i) => i < fence), `number ${fence} and later must not arrive, ${arrived.at(-1)} did`);
      sent.forEach((code, i) => code === 0 && assert.ok(arrived.includes(i), `number ${i} was acked`));
    });
  }
});

const texts = (client) => client.inbox.entries.map((m) => m.data);

/** Sends numbers, from 0, as long as the client is connected. Returns how each was acked, so far. */
function talk(client, to) {
  const sent = [];
  const go = () => {
    if (!client.connected) return;
    const i = sent.push(undefined) - 1;
    client.post(to, i).then((code) => {
      sent[i] = code;
      setImmediate(go);
    });
  };
  for (let i = 0; i < WINDOW; i++) go();
  return sent;
}

/** Waits until a client was told that it has lost its name, and was closed. */
async function dismissed(client, kind) {
  const [told, closed] = kind === json ? ['superseded', 'closed'] : ['server-disconnect', 'disconnect'];
  const { reason, code } = await client.journal.first(closed);
  assert.deepEqual([...new Set(client.journal.kinds(told, closed))], [told, closed]);
  if (kind === json) assert.equal(code, 1000);
  else assert.equal(reason, 'io server disconnect');
}
