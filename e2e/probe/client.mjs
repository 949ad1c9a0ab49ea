// What the parts of the probe have in common.

import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';
import { name, webSocket } from '../clients/endpoint.mjs';
import { JSONClient } from '../clients/json.mjs';
import { WAIT, within } from '../clients/wait.mjs';

export const now = () => performance.now();

/** Connects as a user of a new name, and waits to be welcome. */
export async function join(endpoint) {
  const token = name('probe');
  const client = new JSONClient({ endpoint, token });
  client.user = await client.ready();
  return client;
}

/** Calls `use` with so many clients, and closes them. */
export async function withClients(endpoint, count, use) {
  const clients = await Promise.all(Array.from({ length: count }, () => join(endpoint)));
  try {
    return await use(...clients);
  } finally {
    for (const c of clients) c.close();
  }
}

/**
 * Makes a handshake. Resolves with the status; without an answer, with a status that says why. If it was 101, also with
 * the socket, when it was opened, and the promise of when the first frame came.
 * @returns {Promise<{status: number | string, socket?: WebSocket, opened?: number, first?: Promise<number>}>}
 */
export function shake(url, options = {}) {
  const socket = new WebSocket(url, { perMessageDeflate: false, ...options });
  const first = new Promise((resolve) => socket.once('message', () => resolve(now())));
  const answer = new Promise((resolve) => {
    socket.on('open', () => resolve({ status: 101, socket, first, opened: now() }));
    socket.on('unexpected-response', (_, response) => {
      resolve({ status: response.statusCode });
      response.destroy();
    });
    socket.on('error', (e) => resolve({ status: e.message }));
  });
  return within(answer, `the answer to a handshake at ${url.pathname}`);
}

/** The endpoint with another path, as a new user. */
export function at(endpoint, path) {
  const url = webSocket(endpoint, { token: name('probe') });
  url.pathname = path;
  return url;
}

/** Resolves with the code and reason by which a socket is closed, or undefined if it is not within `ms`. */
export function closing(socket, ms = WAIT) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    socket.on('close', (code, reason) => {
      clearTimeout(timer);
      resolve({ code, reason: String(reason) });
    });
  });
}

/** A row of the table: what was asked, and the answer, or why there is none. */
export const row = async (question, ask) => [question, await ask().catch((e) => `**failed**: ${e.message}`)];

export const closed = ({ code, reason }) => `closed, ${code}${reason && ` "${reason}"`}`;

/** A duration in ms, to two digits or more. */
export const ms = (n) => `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;

/** The p-th percentile of numbers: the smallest that p per cent of them do not exceed. */
export function percentile(numbers, p) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
}

/** Durations in one line. */
export const spread = (durations) => `p50 ${ms(percentile(durations, 50))}, p99 ${ms(percentile(durations, 99))} of ${durations.length}`;
