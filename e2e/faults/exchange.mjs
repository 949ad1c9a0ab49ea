// One client's messages to another.

import assert from 'node:assert/strict';
import { eachOf } from './client.mjs';

/** How many messages are under way at a time. */
export const WINDOW = 16;

/** Sends messages, so many at a time, and sees that each arrives once, in order, and is acked as delivered. */
export async function exchange(sender, receiver, messages) {
  await eachOf(messages, WINDOW, async (i) => {
    const args = await new Promise((resolve) => sender.send(receiver.name, i, resolve));
    assert.deepEqual(args, [], `arguments of the ack of message ${i}`);
  });
  // What is acked was accepted for the receiver's socket, on which it may still be on its way.
  await receiver.until('the last message', () => receiver.inbox.length >= messages, 30_000);
  await new Promise((resolve) => setTimeout(resolve, 200)); // for what should not come
  assert.deepEqual(receiver.inbox.map((m) => m.data), Array.from({ length: messages }, (_, i) => i));
  assert.ok(receiver.inbox.every((m) => m.from === sender.name));
}
