// What clients of each kind are told when they are refused, or end with their token.

import assert from 'node:assert/strict';
import { json, two } from '../clients/clients.mjs';
import { sleep } from '../clients/wait.mjs';

const WATCH = 600; // how long a client is watched for coming back by itself, in ms

/** Sees that a client that brought its token so is refused with that code, and does not come again. */
export async function wantRefused(client, kind, how, code) {
  const { journal } = client;
  switch (true) {
    case kind === json: {
      const error = await journal.first('error');
      assert.deepEqual({ code: error.code, closing: error.closing }, { code, closing: true });
      await journal.first('closed');
      assert.equal(journal.count('welcome'), 0);
      return;
    }
    case how === 'event': {
      const { answer } = await journal.first('authenticated');
      assert.deepEqual(answer, [{ error: code }]);
      break;
    }
    case kind === two:
      assert.equal((await journal.first('error')).error, String(code));
      break;
    default:
      assert.equal((await journal.first('connect_error')).message, String(code));
      assert.equal(journal.count('connect'), 0, 'connected before it was refused');
  }
  await wantGone(client);
  assert.equal(journal.count('server-authenticated'), 0);
}

/** Sees that a Socket.IO client has gone, not for a takeover, and does not come again. */
export async function wantGone(client) {
  await sleep(WATCH);
  assert.equal(client.connected, false, 'still connected');
  assert.equal(client.attempts, 1, 'came again');
  assert.equal(client.journal.count('server-disconnect'), 0, 'was told that another has its name');
}

/** Sees that a client is told that its token has ended, and goes. */
export async function wantEnded(client, kind) {
  const { journal } = client;
  if (kind === json) {
    const error = await journal.first('error');
    assert.deepEqual({ code: error.code, closing: error.closing }, { code: 2121, closing: true });
    await journal.first('closed');
    assert.equal(journal.count('superseded'), 0);
    return;
  }
  if (kind === two) {
    assert.equal((await journal.first('error')).error, '2121');
  } else {
    assert.deepEqual((await journal.first('server-refused')).args, [{ error: 2121 }]);
  }
  const { reason } = await journal.first('disconnect');
  assert.equal(reason, 'io server disconnect');
  await wantGone(client);
}
