// How often messages overtake one another, and how long they take.

import { MESSAGES } from '../clients/endpoint.mjs';
import { within } from '../clients/wait.mjs';
import { ms, now, percentile, spread, withClients } from './client.mjs';

const SEQUENCE = Math.min(MESSAGES, 100); // messages one after the other
const BURST = 20;
const BURSTS = Math.ceil(SEQUENCE / 5);
/** How long is waited for a burst, in ms. */
const WAIT = 10_000;

/** One message after the other, each once the one before is acked and has arrived. */
export function sequence(endpoint) {
  return withClients(endpoint, 2, async (from, to) => {
    const arrivals = new Arrivals(to);
    const acks = [];
    const deliveries = [];
    for (let i = 0; i < SEQUENCE; i++) {
      const sent = now();
      const code = await from.send(to.user, i);
      if (code !== 0) throw new Error(`message ${i} was answered ${code}`);
      acks.push(now() - sent);
      await arrivals.count(i + 1);
      deliveries.push(arrivals.at(i) - sent);
    }
    return [
      ['one after the other: ack', spread(acks)],
      ['one after the other: delivery', spread(deliveries)],
    ];
  });
}

/**
 * Bursts with numbers, which must arrive in order, and without, which arrive as API Gateway and Lambda happened to take
 * them on.
 */
export function bursts(endpoint) {
  return withClients(endpoint, 2, async (from, to) => {
    const numbered = await series(from, to, (data) => from.send(to.user, data));
    const unnumbered = await series(from, to, (data) => from.write({ type: 'message', to: to.user, data }));
    const lasts = numbered.map(({ deliveries }) => Math.max(...deliveries));
    const order = overtaken(numbered);
    return [
      [`bursts of ${BURST} without numbers: overtaken`, overtaken(unnumbered)],
      [`bursts of ${BURST} with numbers: overtaken`, order.startsWith('0 ') ? order : `**${order}**`],
      [`bursts of ${BURST}: ack`, spread(numbered.flatMap(({ acks }) => acks))],
      [`bursts of ${BURST}: delivery`, spread(numbered.flatMap(({ deliveries }) => deliveries))],
      [`bursts of ${BURST}: until the last delivery`, `p50 ${ms(percentile(lasts, 50))}, at most ${ms(Math.max(...lasts))}`],
    ];
  });
}

/** Sends bursts, each once the one before has arrived. Returns of each the order of arrival, and how long it took. */
async function series(from, to, send) {
  const all = [];
  for (let round = 0; round < BURSTS; round++) {
    const arrivals = new Arrivals(to);
    const sent = now();
    const acks = await Promise.all(Array.from({ length: BURST }, async (_, i) => {
      const code = await send(i);
      if (code) throw new Error(`message ${i} of a burst was answered ${code}`);
      return now() - sent;
    }));
    await arrivals.count(BURST);
    all.push({ acks, order: arrivals.data, deliveries: arrivals.times.map((t) => t - sent) });
    arrivals.stop();
  }
  return all;
}

/** A message is overtaken if one that was sent after it arrived before it. */
function overtaken(bursts) {
  let late = 0;
  let disturbed = 0;
  for (const { order } of bursts) {
    const here = order.filter((n, i) => order.slice(0, i).some((earlier) => earlier > n)).length;
    late += here;
    if (here > 0) disturbed++;
  }
  const all = BURST * bursts.length;
  return `${late} of ${all} messages (${((100 * late) / all).toFixed(1)} %), in ${disturbed} of ${bursts.length} bursts`;
}

/** The messages that arrive at a client from now on. */
class Arrivals {
  data = [];
  times = [];
  #awaited;

  constructor(client) {
    this.client = client;
    client.socket.on('message', this.#take);
  }

  #take = (bytes) => {
    const at = now();
    const { type, data } = JSON.parse(String(bytes));
    if (type !== 'message') return;
    this.data.push(data);
    this.times.push(at);
    this.#awaited?.();
  };

  at(i) {
    return this.times[i];
  }

  /** Waits for so many. */
  count(n) {
    const arrived = new Promise((resolve) => {
      this.#awaited = () => this.data.length >= n && resolve();
      this.#awaited();
    });
    return within(arrived, `${n} messages`, WAIT, () => `${this.data.length}`);
  }

  stop() {
    this.client.socket.off('message', this.#take);
  }
}
