// Two clients that send each other numbers, whatever happens meanwhile.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { SignalingChannel } from '../../clients/js/index.js';

/** How many messages two clients send in all, and how many of them at a time. */
export const MESSAGES = Number(process.env.MESSAGES ?? 10_000);
export const WINDOW = 64;
/** How long a burst may take, in ms. */
export const PATIENCE = 100_000;
/** How long what was sent may be on its way, in ms. */
const GRACE = 5000;

/** Times of clients on a machine where nothing is far, in ms. */
const QUICK = {
  reconnectFirst: 20, reconnectMost: 200, reconnectAttempts: Infinity, heartbeat: 1000, deadAfter: 1500,
};

export class Client {
  /** What happened, in order: {message}, {gap}, {state}. */
  journal = [];
  /** How each message ended: 0, or a code. */
  ends = [];
  ended = 0;

  constructor(name, options) {
    this.name = name;
    this.channel = new SignalingChannel({ WebSocket, ...QUICK, ...options });
    this.channel.onMessage = (from, message) => this.journal.push({ message: Number(message) });
    this.channel.onGap = (gap) => this.journal.push({ gap });
    this.channel.onStateChange = (state, why) => this.journal.push({ state, why });
  }

  /** Opens a client, which is closed when the test ends. */
  static async open(t, origin, name, options) {
    const client = new Client(name, options);
    t.after(() => client.channel.disconnect());
    assert.equal(await client.channel.connect({ host: origin, token: name }), name);
    client.journal = [];
    return client;
  }

  get received() {
    return this.journal.filter((e) => 'message' in e).map((e) => e.message);
  }

  count(state) {
    return this.journal.filter((e) => e.state === state).length;
  }

  /** Sends 0, 1, 2, …, and resolves when it is known of each how it ended. It takes as long as is said. */
  async send(to, count, atLeast) {
    const began = performance.now();
    let next = 0;
    await Promise.all(Array.from({ length: WINDOW }, async () => {
      while (next < count) {
        const early = began + atLeast * next / count - performance.now();
        if (early > 0) await sleep(early);
        if (next === count) return;
        const i = next++;
        this.ends[i] = await this.channel.send(to, String(i)).then(() => 0, (code) => code);
        this.ended++;
      }
    }));
  }
}

/**
 * Two clients send each other messages, half of them each unless said otherwise, for at least so many ms. Meanwhile
 * something fails so often, evenly over the messages of the first.
 */
export async function burst(t, a, b, { there = MESSAGES / 2, back = there, atLeast = 0, times = 0, fail } = {}) {
  const began = performance.now();
  const done = Promise.all([a.send(b.name, there, atLeast), b.send(a.name, back, atLeast)]);
  for (let i = 1; i <= times; i++) {
    while (a.ended < there * i / (times + 1)) await sleep(2);
    await fail(i);
  }
  await done;
  const took = performance.now() - began;
  const over = () => a.received.length >= back && b.received.length >= there;
  for (const end = performance.now() + GRACE; !over() && performance.now() < end;) await sleep(10);
  await sleep(200); // for what should not come
  for (const [from, to] of [[a, b], [b, a]]) {
    t.diagnostic(`${from.name}: ${from.count('reconnecting')} reconnects${ending(from)}; sent ${tally(from.ends)}, of which ${to.name} received ${to.received.length}`);
  }
  t.diagnostic(`${there + back} messages in ${Math.round(took)} ms`);
}

/** Why a channel has ended, if it has. */
function ending({ journal }) {
  const end = journal.find((e) => e.state === 'disconnected');
  return end ? `, ended (${end.why.error?.message ?? end.why.reason})` : '';
}

/** How messages ended. */
function tally(ends) {
  const counts = new Map();
  for (const end of ends) counts.set(end, (counts.get(end) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${n} ${code === 0 ? 'ok' : code}`).join(', ');
}

/** Every message was acked, and came once and in order. */
export function wantAll(from, to) {
  assert.deepEqual(from.ends.filter((code) => code !== 0), [], `${from.name}: failures`);
  assert.deepEqual(to.received, from.ends.map((_, i) => i), `${from.name} to ${to.name}`);
}

/** What came, came once and in order. Returns what did not come though it was acked. */
export function missing(from, to) {
  const { received } = to;
  assert.ok(received.every((n, i) => i === 0 || n > received[i - 1]), `${from.name} to ${to.name}: once, and in order`);
  const came = new Set(received);
  return from.ends.flatMap((code, i) => (code === 0 && !came.has(i) ? [i] : []));
}

/** Where messages are missing, as many, or more, were reported missing. */
export function wantReported(from, to) {
  let next = 0; // the number that should come
  let lost = 0; // reported since the last that came
  for (const { message, gap } of [...to.journal, { message: from.ends.length }]) {
    if (gap) lost += gap.last === undefined ? Infinity : gap.last - gap.first + 1;
    if (message === undefined) continue;
    const failed = from.ends.slice(next, message).filter((code) => code !== 0).length;
    const gone = message - next - failed;
    assert.ok(gone <= lost, `${gone} messages are missing before ${message}, ${lost} were reported`);
    next = message + 1;
    lost = 0;
  }
}
