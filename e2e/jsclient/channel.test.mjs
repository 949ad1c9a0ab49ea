// The client as OWT's SDK uses it, with other kinds of clients.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import io2 from 'socket.io-client-2';
import { io as io4 } from 'socket.io-client-4';
import { WebSocket } from 'ws';
import { Code, SignalingChannel, SignalingClient } from '../../clients/js/index.js';

const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';
/** How long is waited for what has to come, in ms. */
const WAIT = 30_000;

/** A channel as P2PClient uses it (owt-client-javascript, src/sdk/p2p/p2pclient.js). */
class P2PClient {
  state = 'ready';
  inbox = [];
  ends = [];

  constructor(t, signaling = new SignalingChannel({ WebSocket, reconnectFirst: 20, reconnectAttempts: 3 })) {
    this.signaling = signaling;
    signaling.onMessage = (origin, message) => this.inbox.push([origin, JSON.parse(message)]);
    signaling.onServerDisconnected = (why) => {
      this.state = 'ready';
      this.ends.push(why.reason);
    };
    t.after(() => signaling.disconnect());
  }

  connect(token) {
    this.state = 'connecting';
    return this.signaling.connect({ host: SERVER, token }).then((id) => {
      this.state = 'connected';
      this.id = id;
    });
  }

  /** It takes no notice of an error that is no number. */
  send(to, message) {
    return this.signaling.send(to, JSON.stringify(message)).then(() => 0, (e) => (typeof e === 'number' ? e : NaN));
  }
}

async function until(what, is) {
  for (const end = performance.now() + WAIT; !is(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`waited ${WAIT} ms for ${what}`);
  }
}

const join = async (t, token) => {
  const client = new P2PClient(t);
  await client.connect(token);
  assert.equal(client.id, token);
  return client;
};

it('messages are strings, failures are numbers', async (t) => {
  const [a, b] = await Promise.all([join(t, 'a 用户'), join(t, 'b 用户')]);
  const odd = { type: 'chat-signal', data: { sdp: 'v=0\r\n"\\ü\ud83d\u2028😀', candidate: null } };
  assert.deepEqual(await Promise.all([a.send('b 用户', odd), a.send('b 用户', 2), a.send('nobody', 3), a.send('', 4), a.send('b 用户', 5)]),
    [0, 0, 2201, 2402, 0]);
  await until('the messages', () => b.inbox.length === 3);
  assert.deepEqual(b.inbox, [odd, 2, 5].map((message) => ['a 用户', message]));
});

for (const [version, io] of [['2', io2], ['4', io4]]) {
  it(`Socket.IO ${version} clients are reached, and reach it`, async (t) => {
    const name = `socket.io ${version}`;
    const socket = io(SERVER, { transports: ['websocket'], query: `clientVersion=4.3.1&token=${encodeURIComponent(name)}`, forceNew: true });
    t.after(() => socket.close());
    const got = [];
    socket.on('owt-message', ({ from, data }) => got.push([from, data]));
    await new Promise((resolve) => socket.on('server-authenticated', resolve));
    const a = await join(t, `a of ${version}`);
    for (let i = 0; i < 5; i++) a.send(name, i);
    const acks = await Promise.all([1, 2, 3].map((i) => new Promise((resolve) => {
      socket.emit('owt-message', { to: a.id, data: JSON.stringify({ i }) }, (...args) => resolve(args));
    })));
    assert.deepEqual(acks, [[], [], []]);
    await until('the messages', () => got.length === 5 && a.inbox.length === 3);
    assert.deepEqual(got, [0, 1, 2, 3, 4].map((i) => [a.id, String(i)]));
    assert.deepEqual(a.inbox, [1, 2, 3].map((i) => [name, { i }]));
  });
}

it('goodbyes arrive, though the SDK does not wait for them', async (t) => {
  const [a, b] = await Promise.all([join(t, 'goodbye a'), join(t, 'goodbye b')]);
  const sent = [1, 2, 3].map((i) => a.send(b.id, i));
  a.signaling.disconnect();
  assert.deepEqual(await Promise.all(sent), [0, 0, 0]);
  await until('the messages, and the end', () => b.inbox.length === 3 && a.state === 'ready');
  assert.deepEqual(a.ends, ['left']);
  await until('a to be offline', async () => !await b.signaling.presence(a.id));
  await a.connect('goodbye a');
  assert.equal(await b.send(a.id, 'again'), 0);
});

it('a second device takes over, and the first stays away', async (t) => {
  const first = await join(t, 'devices');
  const second = await join(t, 'devices');
  await until('the end', () => first.state === 'ready');
  assert.deepEqual(first.ends, ['superseded']);
  await sleep(500);
  assert.equal(second.state, 'connected');
  assert.equal(await second.send('devices', 'to oneself'), 0);
  await until('the message', () => second.inbox.length === 1);
  assert.equal(await first.send('devices', 1), Code.NOT_CONNECTED);
  await first.connect('devices');
  await until('the end of the second', () => second.state === 'ready');
});

it('a refused token is told, and not tried again', async (t) => {
  const client = new P2PClient(t);
  await assert.rejects(client.connect('x'.repeat(257)), (code) => code === Code.WRONG_TOKEN);
  assert.deepEqual([client.state, client.ends], ['ready', ['refused']]);
});

it('a server that is not there is told after some attempts', async (t) => {
  const signaling = new SignalingChannel({ WebSocket, retryFirst: true, reconnectFirst: 10, reconnectAttempts: 2 });
  t.after(() => signaling.disconnect());
  await assert.rejects(signaling.connect({ host: 'http://127.0.0.1:1', token: 'x' }), (code) => code === Code.UNAVAILABLE);
});

it('a connection is kept that would be closed if it were silent', { skip: !process.env.IDLE }, async (t) => {
  const client = await join(t, 'silent');
  const states = [];
  client.signaling.onStateChange = (state) => states.push(state);
  await sleep(3 * Number(process.env.IDLE));
  assert.deepEqual(states, []);
});

it('ICE servers are told, and asked for when half of their time is over', { skip: !process.env.TURN }, async (t) => {
  let later = 0; // ms
  const clock = { now: () => performance.now() + later, setTimeout, clearTimeout };
  const client = new SignalingClient({ WebSocket, clock });
  t.after(() => client.disconnect());
  let asked = 0;
  client.onFrame = ({ direction, text }) => { if (direction === 'out' && JSON.parse(text).type === 'ice') asked++; };
  await client.connect({ url: SERVER, token: 'ice' });
  for (const questions of [0, 1]) {
    const [{ urls, username, credential }] = await client.iceServers();
    assert.deepEqual([urls].flat(), [process.env.TURN]);
    assert.match(username, /^\d+:/);
    assert.match(credential, /./);
    assert.equal(asked, questions);
    later += 12 * 3600_000; // the default life
  }
});
