// What crashing invocations must not change: what is acked is delivered, nothing is delivered twice or out of order,
// and clients get on by themselves.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eachOf, open, pairs, tally } from './client.mjs';

const MESSAGES = Number(process.env.MESSAGES ?? 200);
const WINDOW = 8;
/** How long a sender waits for an ack before it counts as lost, in ms: more than the 3 s after which a stall ends. */
const ACK = 6000;
/** How long messages may be on their way when all is said, in ms. */
const GRACE = 5000;
/** How long the run may take, in ms, and how many messages must be acked as delivered by then. */
const PATIENCE = 150_000;
const PROGRESS = MESSAGES / 5;

describe(`${MESSAGES} messages one way, ${WINDOW} in flight, while invocations crash`, { concurrency: true }, () => {
  for (const [left, right] of pairs) {
    it(`${left} to ${right}`, { timeout: PATIENCE }, async (t) => {
      // The receiver sends nothing once it is online, so that no crash of an invocation of its own breaks its socket.
      const [sender, receiver] = [keepGoing(t, open(t, left)), keepGoing(t, open(t, right))];
      await Promise.all([sender.ready(20_000), receiver.ready(20_000)]);
      const sent = [];
      await eachOf(MESSAGES, WINDOW, (i) => send(sender, receiver, sent, i));
      await new Promise((resolve) => setTimeout(resolve, GRACE));
      report(t, sent, sender, receiver);
      judge(sent, receiver);
      assert.deepEqual([sender.strange, receiver.strange], [[], []]);
    });
  }
});

/**
 * Sends message i and resolves when it is known, or never will be, how it ended. What is written while offline the
 * library sends on its next connection. Nothing is sent twice.
 */
function send(sender, receiver, sent, i) {
  const message = { i, connection: sender.connects + (sender.socket.connected ? 0 : 1), from: performance.now() };
  sent.push(message);
  return new Promise((resolve) => {
    const end = (outcome) => {
      clearTimeout(timer);
      sender.socket.off('disconnect', lost);
      message.outcome ??= outcome;
      message.to ??= performance.now();
      resolve();
    };
    const lost = () => sender.connects >= message.connection && end('lost with its connection');
    const timer = setTimeout(() => end('never acked'), ACK);
    sender.socket.on('disconnect', lost);
    sender.send(receiver.name, i, (args) => end(args.length === 0 ? 'delivered' : `refused ${JSON.stringify(args)}`));
  });
}

function judge(sent, receiver) {
  const got = receiver.inbox.map((m) => m.data);
  assert.equal(new Set(got).size, got.length, `delivered twice: ${got.filter((n, i) => got.indexOf(n) !== i)}`);

  const online = sent.filter((m) => receiver.wasOnline(m.from, m.to + GRACE / 2));
  const lost = online.filter((m) => m.outcome === 'delivered' && !got.includes(m.i));
  assert.deepEqual(lost, [], 'acked as delivered, and not delivered');

  for (const connection of new Set(sent.map((m) => m.connection))) {
    const order = got.filter((n) => sent[n].connection === connection);
    assert.deepEqual(order, order.toSorted((a, b) => a - b), `order of connection ${connection}`);
  }

  const delivered = online.filter((m) => m.outcome === 'delivered').length;
  assert.ok(delivered >= PROGRESS, `${delivered} of ${sent.length} messages delivered, at least ${PROGRESS} expected`);
}

/**
 * A connect that hangs halfway, because the invocation that was to go on with it has crashed, no library gives up:
 * neither knows a time limit between the open packet and the answer to its CONNECT. Applications need one.
 */
function keepGoing(t, client) {
  client.nudges = 0;
  let since = performance.now();
  const timer = setInterval(() => {
    if (client.online || client.lost.length + client.connects !== client.seen) {
      since = performance.now();
      client.seen = client.lost.length + client.connects;
    }
    if (performance.now() - since < 3000) return;
    since = performance.now();
    client.nudges++;
    client.socket.io.engine?.close();
  }, 100);
  t.after(() => clearInterval(timer));
  return client;
}

function report(t, sent, sender, receiver) {
  const got = receiver.inbox.map((m) => m.data);
  const late = got.filter((n, i) => i > 0 && n < got[i - 1]);
  t.diagnostic(`${tally(sent.map((m) => m.outcome))}; ${got.length} arrived, ${late.length} after a later one of another connection`);
  for (const [who, client] of [['sender', sender], ['receiver', receiver]]) {
    t.diagnostic(`${who}: ${client.connects} connections, ${client.nudges} of them after a connect that hung`);
  }
}
