// One connection outlives the crashes of its invocations: what follows goes on within seconds. JSON clients can tell;
// those of Socket.IO give up a connection on which API Gateway reports a crash.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import WebSocket from 'ws';
import { eachOf, SERVER, tally } from './client.mjs';

const MESSAGES = Number(process.env.MESSAGES ?? 150);
const WINDOW = 16;
/** When a message counts as lost, in ms: some crashes after another, and 3 s of patience for each. */
const ACK = 8000;
/** How long a connect may take until it is given up, and until one must have succeeded, in ms. */
const CONNECT = [2000, 20_000];
const PATIENCE = 150_000;

it(`${MESSAGES} messages on one connection, ${WINDOW} in flight, while invocations crash`, { timeout: PATIENCE }, async (t) => {
  const receiver = await join(t, 'receiver');
  const sender = await join(t, 'sender');
  const ends = new Map(); // of messages whose end is awaited, by number
  const inbox = [];
  let crashes = 0;
  sender.on('message', (text) => {
    const { type, id, code } = JSON.parse(text);
    if (type === undefined) crashes++; // API Gateway's own frame, which does not say of what
    if (type === 'ack') ends.get(id)?.('delivered');
    if (type === 'error') ends.get(id)?.(`refused ${code}`);
  });
  receiver.on('message', (text) => {
    const { type, data } = JSON.parse(text);
    if (type === 'message') inbox.push({ data, at: performance.now() });
  });

  const outcomes = [];
  await eachOf(MESSAGES, WINDOW, async (i) => {
    outcomes[i] = await new Promise((resolve) => {
      ends.set(i + 1, resolve);
      setTimeout(() => resolve('never acked'), ACK).unref();
      sender.send(JSON.stringify({ type: 'message', id: i + 1, to: 'receiver', data: i }));
    });
  });

  const got = inbox.map((m) => m.data);
  const silence = Math.max(...inbox.slice(1).map((m, i) => m.at - inbox[i].at));
  t.diagnostic(`${tally(outcomes)}; ${got.length} arrived; ${crashes} crashes told; longest silence ${Math.round(silence)} ms`);
  assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), 'once, and in order');
  assert.deepEqual(outcomes.flatMap((o, i) => (o === 'delivered' && !got.includes(i) ? [i] : [])), [], 'acked as delivered, and not delivered');
  assert.equal(sender.readyState, WebSocket.OPEN);
  assert.ok(got.length > MESSAGES / 2);
});

/** Opens a connection under a name; again, if an invocation of it crashes. */
async function join(t, name) {
  const end = performance.now() + CONNECT[1];
  for (;;) {
    const socket = new WebSocket(`${SERVER.replace(/^http/, 'ws')}/prod?token=${name}`);
    t.after(() => socket.terminate());
    const welcome = new Promise((resolve) => {
      socket.on('message', (text) => JSON.parse(text).type === 'welcome' && resolve(true));
      socket.on('error', () => resolve(false)); // a handshake that was refused
      setTimeout(resolve, CONNECT[0], false);
    });
    if (await welcome) return socket;
    if (performance.now() > end) throw new Error(`no welcome for ${name} within ${CONNECT[1]} ms`);
    socket.terminate();
  }
}
