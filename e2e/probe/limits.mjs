// The sizes of frames and messages, at each limit and one byte past it, and binary messages.

import { closed, closing, withClients } from './client.mjs';
import { FrameCounter } from './frames.mjs';

/** API Gateway's limits, in bytes. */
const FRAME = 32 << 10;
const MESSAGE = 128 << 10;

export async function limits(endpoint) {
  return [
    ['binary message', await sent(endpoint, (socket) => socket.send(Buffer.from('x')))],
    [`message of ${FRAME} bytes in one frame`, await sent(endpoint, (socket) => socket.send(ping(FRAME)))],
    [`message of ${FRAME + 1} bytes in one frame`, await sent(endpoint, (socket) => socket.send(ping(FRAME + 1)))],
    [`message of ${MESSAGE} bytes in frames of ${FRAME}`, await sent(endpoint, (socket) => inFrames(socket, ping(MESSAGE)))],
    [`message of ${MESSAGE + 1} bytes in frames of ${FRAME} and less`, await sent(endpoint, (socket) => inFrames(socket, ping(MESSAGE + 1)))],
    ...await deliveries(endpoint),
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

/** The largest message that can be delivered, and one that is larger by a byte. */
function deliveries(endpoint) {
  return withClients(endpoint, 2, async (from, to) => {
    from.write = (frame) => inFrames(from.socket, frame);
    const counter = new FrameCounter(to.socket);
    const data = (bytes) => JSON.stringify('x'.repeat(bytes - 2));
    const { bytes } = await deliver(from, to, data(2), counter);
    const envelope = bytes - 2;
    const row = async (size) => {
      const got = await deliver(from, to, data(size - envelope), counter);
      return got.code ? `refused, ${got.code}` : `delivered, ${got.bytes} bytes in ${got.frames} frames`;
    };
    return [
      [`delivery of ${MESSAGE} bytes`, await row(MESSAGE)],
      [`delivery of ${MESSAGE + 1} bytes`, await row(MESSAGE + 1)],
    ];
  });
}

async function deliver(from, to, raw, counter) {
  const count = to.inbox.entries.length;
  const before = counter.frames;
  const { code } = await from.answer(from.ask(to.user, raw), `the ack of ${raw.length} bytes`);
  if (code) return { code };
  await to.inbox.reach(count + 1, 'the delivery');
  return { bytes: to.frames.at(-1).length, frames: counter.frames - before };
}
