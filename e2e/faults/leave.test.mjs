// OWT's SDKs say goodbye and leave at once: chat-closed, Socket.IO's DISCONNECT and the close frame come one right after the
// other, and API Gateway may invoke functions with them in any order.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eachOf, open, pairs } from './client.mjs';

const CLIENTS = 60;
const AT_A_TIME = 4;
/** How often it is tried: a machine that is busy may start an invocation later than the server waits for it. */
const ROUNDS = 5;
/** When what has not arrived is lost, in ms: the server waits for a second at most. */
const LATE = 2000;

const kinds = [...new Set(pairs.flat())];

it(`of ${CLIENTS} clients that send chat-closed and leave, each is heard, once`, async (t) => {
  const receiver = open(t, kinds[0]);
  await receiver.ready();
  for (let round = 1; round <= ROUNDS; round++) {
    const senders = [];
    await eachOf(CLIENTS, AT_A_TIME, async (i) => {
      const client = open(t, kinds[i % kinds.length]);
      await client.ready();
      senders.push(client.name);
      client.send(receiver.name, { type: 'chat-closed' }, () => {});
      client.close();
    });
    await receiver.until('all', () => receiver.inbox.length >= CLIENTS, LATE).catch(() => {});
    await sleep(200); // for what should not come
    const heard = receiver.inbox.map((m) => m.from);
    t.diagnostic(`round ${round}: ${heard.length} of ${CLIENTS}`);
    assert.equal(new Set(heard).size, heard.length, 'heard twice');
    if (heard.length === CLIENTS) {
      assert.deepEqual(heard.sort(), senders.sort());
      return;
    }
    receiver.inbox = [];
  }
  assert.fail(`in each of ${ROUNDS} rounds some were not heard`);
});

it('a client that leaves and comes back at once is served', async (t) => {
  const receiver = open(t, kinds[0]);
  await receiver.ready();
  for (const kind of kinds) {
    const first = open(t, kind);
    await first.ready();
    first.close();
    const second = open(t, kind, first.name);
    await second.ready();
    const args = await new Promise((resolve) => second.send(receiver.name, 'back', resolve));
    assert.deepEqual(args, [], 'arguments of the ack');
    await new Promise((resolve) => receiver.send(first.name, 'welcome back', resolve)).then((args) => assert.deepEqual(args, []));
    await second.until('the message', () => second.inbox.length > 0, LATE);
    await sleep(1200); // by when the first has left
    await new Promise((resolve) => receiver.send(first.name, 'still there', resolve)).then((args) => assert.deepEqual(args, []));
    assert.deepEqual(second.lost, [], 'lost connections');
  }
});
