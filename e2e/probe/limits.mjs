// The sizes of frames and messages, at each limit and one byte past it, and binary messages.

import { closed, closing, row, withClients } from './client.mjs';
import { FrameCounter } from './frames.mjs';

/** API Gateway's limits, in bytes. */
const FRAME = 32 << 10;
const MESSAGE = 128 << 10;

/** What the service sets aside of a delivery for all but the data and the sender's name (docs/limits.md), in bytes. */
const ENVELOPE = 192;

export async function limits(endpoint) {
  const whole = (text) => () => sent(endpoint, (socket) => socket.send(text));
  const cut = (text) => () => sent(endpoint, (socket) => inFrames(socket, text));
  return [
    await row('binary message', whole(Buffer.from('x'))),
    await row(`message of ${FRAME} bytes in one frame`, whole(ping(FRAME))),
    await row(`message of ${FRAME + 1} bytes in one frame`, whole(ping(FRAME + 1))),
    await row(`message of ${MESSAGE} bytes in frames of ${FRAME}`, cut(ping(MESSAGE))),
    await row(`message of ${MESSAGE + 1} bytes in frames of ${FRAME} and less`, cut(ping(MESSAGE + 1))),
    await row('delivery of the largest message', () => delivered(endpoint, 0)),
    await row('delivery of one byte more', () => delivered(endpoint, 1)),
  ];
}

/** A frame of so many bytes that is answered by a pong. */
function ping(bytes) {
  const text = (fill) => `{"type":"ping","fill":"${fill}"}`;
  return text('x'.repeat(bytes - text('').length));
}

function inFrames(socket, text) {
  for (let at = 0; at < text.length; at += FRAME) {
    socket.send(text.slice(at, at + FRAME), { fin: at + FRAME >= text.length });
  }
}

/** What becomes of a connection on which something is sent. */
function sent(endpoint, send) {
  return withClients(endpoint, 1, async ({ socket, journal }) => {
    const end = closing(socket).then((how) => how && closed(how));
    send(socket);
    const pong = journal.first('pong').then(() => 'answered', () => undefined);
    return await Promise.race([end, pong]) ?? 'neither answered nor closed';
  });
}

/** What becomes of the largest message that is let through, and of one that has so many bytes more. */
function delivered(endpoint, more) {
  return withClients(endpoint, 2, async (from, to) => {
    from.write = (frame) => inFrames(from.socket, frame);
    const largest = MESSAGE - ENVELOPE - JSON.stringify(from.user).length;
    const data = JSON.stringify('x'.repeat(largest + more - 2));
    const counter = new FrameCounter(to.socket);
    const end = closing(to.socket).then((how) => how && `receiver ${closed(how)}`);
    const arrival = deliver(from, to, data).then((code) => (
      code ? `refused, ${code}` : `delivered, ${to.frames.at(-1).length} bytes in ${counter.frames} frames`));
    return await Promise.race([arrival, end]) ?? 'neither delivered nor refused';
  });
}

/** Sends a message. Resolves with the code by which it was refused, or once it has arrived. */
async function deliver(from, to, raw) {
  const count = to.inbox.entries.length;
  const { code } = await from.answer(from.ask(to.user, raw), `the ack of ${raw.length} bytes`);
  if (!code) await to.inbox.reach(count + 1, 'the delivery');
  return code;
}
