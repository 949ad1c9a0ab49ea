import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { MAX_FRAME } from '../connection.js';
import { MAX_BYTES_IN_FLIGHT, MAX_SPREAD, Outbox } from '../outbox.js';
import { Clock, settle } from './clock.js';

const ACK = 5000;
const QUEUED = 10;
let clock, outbox, ends;

beforeEach(() => {
  clock = new Clock();
  outbox = new Outbox({ clock, ackTimeout: ACK, maxQueued: QUEUED });
  ends = [];
});

/** A connection that remembers what was sent: the number, with + for a filler. */
function attach(how = {}, maxInFlight = 4) {
  const connection = {
    sent: [], frames: [], maxInFlight,
    post(text, bytes) {
      assert.ok(Buffer.byteLength(text) <= bytes);
      const { type, id, to } = JSON.parse(text);
      assert.equal(type, 'message');
      this.sent.push(to === undefined ? `+${id}` : id);
      this.frames.push(text);
    },
    saw(...expected) { assert.deepEqual(this.sent.splice(0), expected); },
  };
  outbox.attach(connection, { resumed: true, first: outbox.first, ...how });
  return connection;
}

/** Adds messages; `ends` tells how each ended. */
function add(count, to = 'bob', data = 'x') {
  for (let i = 0; i < count; i++) {
    const at = ends.push('pending') - 1;
    outbox.add(to, JSON.stringify(data)).answered.then(() => { ends[at] = 'ok'; }, (code) => { ends[at] = code; });
  }
}

const ack = (...numbers) => numbers.forEach((n) => outbox.answered(n, 0, true));
const ended = async (...expected) => {
  await settle();
  assert.deepEqual(ends, expected);
};

describe('window', () => {
  it('messages are numbered from 1, and sent as JSON', async () => {
    const c = attach();
    outbox.add('bob "x"', '{"a":1}').answered.catch(() => {});
    assert.deepEqual(c.frames, ['{"type":"message","id":1,"to":"bob \\"x\\"","data":{"a":1}}']);
  });

  it('so many are in flight, and the others wait', async () => {
    const c = attach();
    add(6);
    c.saw(1, 2, 3, 4);
    ack(2);
    c.saw(5);
    ack(1, 3);
    c.saw(6);
    ack(4, 5, 6);
    await ended('ok', 'ok', 'ok', 'ok', 'ok', 'ok');
    assert.equal(outbox.empty, true);
  });

  it('so many wait, and no more', async () => {
    attach();
    add(4 + QUEUED + 1);
    await ended(...Array(4 + QUEUED).fill('pending'), 2102);
  });

  it('so many bytes are in flight', () => {
    const c = attach({}, 1000);
    const size = 30 << 10;
    add(10, 'bob', 'x'.repeat(size));
    const fit = Math.floor(MAX_BYTES_IN_FLIGHT / size);
    assert.equal(c.sent.length, fit);
    ack(1);
    assert.equal(c.sent.length, fit + 1);
  });

  it('a message may have so many bytes', async () => {
    const c = attach();
    add(1, 'bob', 'ä'.repeat((MAX_FRAME - 90) / 2));
    add(1, 'bob', 'ä'.repeat(MAX_FRAME / 2));
    await ended('pending', 2110);
    assert.ok(Buffer.byteLength(c.frames[0]) <= MAX_FRAME);
  });

  it('the numbers in flight lie so far apart', () => {
    const c = attach();
    for (let n = 1; n < MAX_SPREAD; n++) {
      add(1);
      if (n > 1) ack(n);
    }
    c.sent.length = 0;
    add(3);
    c.saw(MAX_SPREAD);
    ack(MAX_SPREAD);
    c.saw();
    ack(1);
    c.saw(MAX_SPREAD + 1, MAX_SPREAD + 2);
  });

  it('what waits can be withdrawn, and what was sent cannot', () => {
    const c = attach({}, 1);
    const [one, two, three] = ['1', '2', '3'].map((data) => outbox.add('bob', data));
    one.withdraw();
    two.withdraw();
    ack(1);
    assert.deepEqual(c.frames.map((text) => JSON.parse(text).data), [1, 3]);
    three.answered.catch(() => {});
  });
});

describe('time', () => {
  it('without a connection nothing is due', async () => {
    attach();
    add(1);
    outbox.detach();
    await clock.pass(10 * ACK);
    assert.equal(clock.pending, 0);
  });
});

describe('another connection', () => {
  it('not more than it takes', () => {
    attach({}, 8);
    add(8);
    const d = attach({}, 3);
    d.saw(1, 2, 3);
    ack(1, 2);
    d.saw(4, 5);
  });
});

describe('the end', () => {
  it('what was sent may have been delivered, what was not has not', async () => {
    attach();
    add(5);
    ack(2);
    outbox.answered(3, 2120, true);
    outbox.stop();
    await ended(2100, 'ok', 2120, 2100, 2100);
    outbox.stop();
    assert.equal(clock.pending, 0);
  });

  it('what waits was not sent', async () => {
    attach();
    add(5);
    outbox.stop();
    await ended(2100, 2100, 2100, 2100, 2111);
    assert.equal(outbox.empty, true);
    assert.equal(outbox.receivers.size, 0);
  });

  it('the numbers that were given up are filled on the next connection', () => {
    attach();
    add(5);
    ack(2);
    outbox.stop();
    const d = attach({}, 8);
    d.saw('+1', '+3', '+4', '+5');
    add(1);
    d.saw(6);
  });
});
