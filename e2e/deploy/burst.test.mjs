// What a user sees of a burst that is larger than what the account may run at once. Each frame is an invocation; to those
// that Lambda refuses API Gateway answers with a frame of its own, which no protocol has.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, socketIOKinds } from '../clients/clients.mjs';
import { name } from '../clients/endpoint.mjs';
import { eventually } from '../clients/wait.mjs';

const BURST = 30;
const refused = 'Internal server error';

/** Sends all at once. Counts the answers as they come. */
function burst(sender, to) {
  const acked = [];
  for (let i = 0; i < BURST; i++) sender.post(to, i).then((code) => code === 0 && acked.push(i));
  return acked;
}

function wantInOrder(inbox) {
  const got = inbox.all('message').map((m) => m.data).filter((data) => typeof data === 'number');
  assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), 'once, and in order');
  return got.length;
}

describe(`${BURST} messages at once where the account may run 10 invocations`, () => {
  it('JSON: error frames instead of some acks; the connection goes on', async (t) => {
    const [a, b] = [await join(t, json, { token: name() }), await join(t, json, { token: name() })];
    const acked = burst(a, b.user);
    const errors = () => a.journal.entries.filter((e) => e.message === refused).length;
    await eventually('an error frame', async () => errors(), (n) => n > 0);
    await eventually('the connection to work again', () => a.send(b.user, 'after', 5000).catch(() => 'no answer'), (code) => code === 0);
    const got = wantInOrder(b.inbox);
    t.diagnostic(`${errors()} error frames, ${acked.length} acks, ${got} delivered`);
    assert.ok(got < BURST, 'all were delivered');
    assert.ok(acked.length <= got, 'an ack of something that was not delivered');
    assert.equal(a.journal.count('closed'), 0);
  });

  for (const kind of socketIOKinds) {
    it(`${kind.name}: the connection ends, and the library connects again`, async (t) => {
      const [a, b] = [await join(t, kind, { token: name() }), await join(t, json, { token: name() })];
      const acked = burst(a, b.user);
      assert.equal((await a.journal.first('disconnect')).reason, 'transport error'); // Engine.IO knows no packet of type "{"
      await a.journal.nth(2, 'connect');
      const got = wantInOrder(b.inbox);
      t.diagnostic(`${acked.length} acks, ${got} delivered`);
      assert.ok(got < BURST, 'all were delivered');
    });
  }
});
