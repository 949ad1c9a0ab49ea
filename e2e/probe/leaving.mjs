// How long a user stays online whose connection has ended.

import { eventually } from '../clients/wait.mjs';
import { join, ms, now, withClients } from './client.mjs';

/** How long is waited until a user is offline, in ms. Keepalive finds out within 5 minutes if nobody else does. */
const OFFLINE = 30_000;

export function leaving(endpoint) {
  return withClients(endpoint, 1, async (watcher) => [
    ['closed by its client: offline after', await offline(endpoint, watcher, (c) => c.close())],
    ['cut without a close frame: offline after', await offline(endpoint, watcher, (c) => c.socket.terminate())],
  ]);
}

async function offline(endpoint, watcher, end) {
  const client = await join(endpoint);
  const presence = async () => {
    const nth = watcher.journal.count('presence') + 1;
    watcher.write({ type: 'presence', user: client.user });
    return watcher.journal.nth(nth, 'presence');
  };
  const { online } = await presence();
  if (!online) throw new Error('a user who is connected is offline');
  const begun = now();
  end(client);
  try {
    await eventually('offline', presence, (answer) => !answer.online, OFFLINE);
    return ms(now() - begun);
  } catch {
    return `not within ${OFFLINE / 1000} s`;
  }
}
