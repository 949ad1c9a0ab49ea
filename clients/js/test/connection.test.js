import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Connection, MAX_FRAME } from '../connection.js';
import { Clock, settle } from './clock.js';
import { Sockets } from './sockets.js';

let socket, connection;

beforeEach(() => {
  const sockets = new Sockets();
  socket = new sockets.WebSocket('ws://server/prod');
  const ignore = () => {};
  connection = new Connection(socket, { clock: new Clock(), connectTimeout: 10_000, heartbeat: 60_000, deadAfter: 6_000 }, {
    welcome: ignore, message: ignore, answer: ignore, stored: ignore, presence: ignore, superseded: ignore, refused: ignore, closed: ignore,
  });
});

/** Posts messages of so many bytes; their text says which they are. */
function post(...sizes) {
  sizes.forEach((bytes, i) => connection.post(JSON.stringify(`${i}`.padEnd(bytes - 2)), bytes));
}

/** How many messages were in each frame. */
const frames = async () => {
  await settle();
  return socket.sent.splice(0).map((frame) => (Array.isArray(frame) ? frame.length : 1));
};

describe('what is posted in a tick goes in one frame', () => {
  it('of as many messages as the server takes', async () => {
    socket.greet({ maxBatch: 3 });
    post(10, 10, 10, 10, 10, 10, 10);
    assert.deepEqual(await frames(), [3, 3, 1]);
  });

  it('of one, where the server says nothing of more', async () => {
    socket.greet();
    post(10, 10);
    assert.deepEqual(await frames(), [1, 1]);
  });

  it('of so many bytes', async () => {
    socket.greet({ maxBatch: 64 });
    const third = (MAX_FRAME - 4) / 4;
    post(third, third, third * 2, 10);
    const sent = socket.sent;
    assert.deepEqual(await frames(), [3, 1]);
    assert.equal(sent.length, 0);
    post(third, third, third * 2 + 1);
    assert.deepEqual(await frames(), [2, 1]);
    post(MAX_FRAME, MAX_FRAME);
    assert.deepEqual(await frames(), [1, 1]);
  });

  it('of which none is larger than API Gateway takes', async () => {
    socket.greet({ maxBatch: 64 });
    const lengths = [];
    const { send } = socket;
    socket.send = function (text) { lengths.push(text.length); send.call(this, text); };
    post(...Array(100).fill(999));
    await settle();
    assert.ok(lengths.every((length) => length <= MAX_FRAME), `${lengths}`);
    assert.deepEqual(lengths.length, 4);
  });

  it('before what is sent after it, and not in it', async () => {
    socket.greet({ maxBatch: 64 });
    post(10, 10);
    connection.probe();
    post(10);
    await settle();
    assert.deepEqual(socket.sent.map((frame) => frame.type ?? [frame].flat().length), [2, 'ping', 1]);
  });

  it('and is said before the goodbye', async () => {
    socket.greet({ maxBatch: 64 });
    post(10, 10);
    connection.leave();
    await settle();
    assert.deepEqual(socket.sent.map((frame) => frame.type ?? [frame].flat().length), [2, 'leave']);
  });
});
