// Every kind of client with every other, both sending at the same time.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { early, join, json, kinds, product } from './clients.mjs';
import { MESSAGES, name, STRAGGLERS } from './endpoint.mjs';

const WINDOW = 16; // messages in flight per sender

describe(`${MESSAGES} messages each way, ${WINDOW} in flight, each acked once and received once, in order`, () => {
  for (const [left, right] of product(kinds, kinds)) {
    const by = right === json ? '' : ', by the authentication event';
    it(`${left.name}, by the ${early(left)}, and ${right.name}${by}`, async (t) => {
      const [a, b] = await Promise.all([
        join(t, left, { token: name('left'), how: early(left) }),
        join(t, right, { token: name('right'), how: 'event' }),
      ]);
      await Promise.all([exchange(a, left, b), exchange(b, right, a)]);
    });
  }
});

async function exchange(sender, kind, receiver) {
  const data = kind === json ? (i) => (i % 2 ? value(i) : text(i)) : text;
  let next = 0;
  if (STRAGGLERS) { // who authenticates by the query does not say at which number it begins: 0 must not come after 1
    assert.equal(await sender.send(receiver.user, data(next++)), 0, 'ack of message 0');
  }
  await Promise.all(Array.from({ length: WINDOW }, async () => {
    for (let i = next++; i < MESSAGES; i = next++) {
      assert.equal(await sender.send(receiver.user, data(i)), 0, `ack of message ${i}`);
    }
  }));
  assert.equal(await sender.send(receiver.user, 'end'), 0);
  await receiver.inbox.find('the last message', (m) => m.data === 'end');

  const received = receiver.inbox.entries;
  const [{ epoch, seq }] = received;
  received.forEach((m, i) => {
    assert.deepEqual(m.data, i < MESSAGES ? data(i) : 'end', `message ${i}`);
    assert.equal(m.from, sender.user);
    assert.equal('to' in m, false, 'the receiver is left out');
    assert.equal(m.epoch, epoch, 'one epoch');
    assert.equal(m.seq, seq + i, 'consecutive sequence numbers');
  });
  assert.equal(received.length, MESSAGES + 1);
  assert.deepEqual(sender.strays, [], 'acks of nothing, or repeated');
}

// What SDKs send: the text of some JSON, which the server must leave alone.
const awkward = [
  '{"type":"chat-closed","text":"planted-secret"}', // for the logs not to have
  '{"sdpMLineIndex":1.10,"id":12345678901234567890,"e":1E400}',
  '{"html":"<a href=\'x\'>&amp;</a>"}',
  '{"separators":"\u2028\u2029","nul":"\\u0000","tab":"\t"}',
  '{"emoji":"👩‍👩‍👧‍👦","clef":"𝄞","name":"用户1"}',
  'half a pair \ud800, a quote ", a backslash \\, not JSON {',
  '',
  `{"sdp":"v=0\\r\\n${'a=candidate:1 1 udp 2122260223 192.0.2.1 54400 typ host\\r\\n'.repeat(40)}"}`,
];

const text = (i) => `${i} ${awkward[i % awkward.length]}`;

// What JSON clients may send besides.
const values = [null, true, 1.5, -0.25, [], {}, [[1, '2', null]], { to: 'nobody', from: 'nobody', seq: 0 }];

const value = (i) => ({ i, value: values[i % values.length], text: awkward[i % awkward.length] });
