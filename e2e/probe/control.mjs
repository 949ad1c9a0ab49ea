// Control frames, and connections on which nothing else goes.

import { sleep, within } from '../clients/wait.mjs';
import { closed, closing, join, ms, now, withClients } from './client.mjs';

/** How long is waited for a pong, in ms. */
const PONG = 5000;

export function control(endpoint) {
  return withClients(endpoint, 1, async ({ socket }) => {
    const begun = now();
    socket.ping('probe');
    const pong = new Promise((resolve) => socket.once('pong', (data) => resolve(String(data))));
    try {
      const data = await within(pong, 'a pong', PONG);
      return [['ping control frame', `answered after ${ms(now() - begun)}, ${data === 'probe' ? 'with its data' : `with ${data}`}`]];
    } catch {
      return [['ping control frame', `not answered within ${PONG} ms`]];
    }
  });
}

/**
 * Two connections say nothing, but one of them sends ping control frames. If that one outlives the other by a fifth of
 * the idle time, control frames keep a connection.
 */
export async function idle(endpoint) {
  const [silent, pinging] = await Promise.all([join(endpoint), join(endpoint)]);
  try {
    const seconds = (await silent.journal.first('open')).idle;
    const limit = seconds * 1200;
    let fromServer = 0;
    for (const { socket } of [silent, pinging]) socket.on('ping', () => fromServer++);
    const beat = setInterval(() => pinging.socket.ping(), seconds * 100);
    try {
      const [one, other] = await Promise.all([end(silent.socket, limit), end(pinging.socket, limit)]);
      return [
        [`silent connection (told: ${seconds} s)`, one],
        [`the same with ping control frames every ${seconds / 10} s`, other],
        ['ping control frames from the server meanwhile', String(fromServer)],
      ];
    } finally {
      clearInterval(beat);
    }
  } finally {
    for (const c of [silent, pinging]) c.close();
    await sleep(0);
  }
}

async function end(socket, limit) {
  const begun = now();
  const how = await closing(socket, limit);
  const after = `${((now() - begun) / 1000).toFixed(1)} s`;
  return how ? `${closed(how)}, after ${after}` : `open after ${after}`;
}
