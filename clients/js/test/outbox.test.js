import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { MAX_BYTES_IN_FLIGHT, MAX_FRAME, MAX_SPREAD, MAX_UNANSWERED, Outbox } from '../outbox.js';
import { Clock, settle } from './clock.js';

const ACK = 5000;
const PAUSE = 250;
const RETRIES = 2;
const QUEUED = 10;
let clock, outbox, ends;

beforeEach(() => {
  clock = new Clock();
  outbox = new Outbox({ clock, ackTimeout: ACK, maxQueued: QUEUED, retries: RETRIES, retryPause: PAUSE });
  ends = [];
});

/** A connection that remembers what was sent: the number, with + for a filler. */
function attach(how = {}, maxInFlight = 4) {
  const connection = {
    sent: [], frames: [], stuckTimes: 0, maxInFlight,
    send(text) {
      const { type, id, to } = JSON.parse(text);
      assert.equal(type, 'message');
      this.sent.push(to === undefined ? `+${id}` : id);
      this.frames.push(text);
    },
    stuck() { this.stuckTimes++; },
    saw(...expected) { assert.deepEqual(this.sent.splice(0), expected); },
  };
  outbox.attach(connection, { resumed: true, first: outbox.first, ...how });
  return connection;
}

/** Adds messages; `ends` tells how each ended. */
function add(count, to = 'bob', data = 'x') {
  for (let i = 0; i < count; i++) {
    const at = ends.push('pending') - 1;
    outbox.add(to, data).then(() => { ends[at] = 'ok'; }, (code) => { ends[at] = code; });
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
    outbox.add('bob "x"', '{"a":1}');
    assert.deepEqual(c.frames, ['{"type":"message","id":1,"to":"bob \\"x\\"","data":"{\\"a\\":1}"}']);
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
    add(8, 'bob', 'x'.repeat(size));
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

  it('what cannot be written as JSON is refused', async () => {
    attach();
    const circle = [];
    circle.push(circle);
    await assert.rejects(outbox.add('bob', circle), TypeError);
  });
});

describe('answers', () => {
  it('a failure rejects with its code', async () => {
    attach();
    add(3);
    outbox.answered(1, 2201, true);
    outbox.answered(2, 2110, true);
    await ended(2201, 2110, 'pending');
  });

  it('one to nothing, or to what has been answered, is nothing', async () => {
    attach();
    add(1);
    ack(1, 1, 7);
    outbox.answered(1, 2201, true);
    await ended('ok');
  });

  for (const code of [2100, 2101, 2102]) {
    it(`${code} may pass: the same number is sent again`, async () => {
      const c = attach();
      add(1);
      c.saw(1);
      outbox.answered(1, code, true);
      await clock.pass(PAUSE - 1);
      c.saw();
      await clock.pass(1);
      c.saw(1);
      ack(1);
      await ended('ok');
    });

    it(`${code} so often is the answer, and the number is filled`, async () => {
      const c = attach();
      add(2);
      const retries = code === 2102 ? 1 : RETRIES; // a limit is not to be met by more messages
      for (let i = 0; i < retries; i++) {
        outbox.answered(1, code, true);
        outbox.answered(1, code, true); // of an invocation that ran twice
        await clock.pass(PAUSE * 2 ** i);
      }
      await ended('pending', 'pending');
      c.saw(1, 2, ...Array(retries).fill(1));
      outbox.answered(1, code, true);
      c.saw('+1');
      await ended(code, 'pending');
      outbox.answered(1, 2110, true);
      ack(2);
      assert.equal(outbox.first, 3);
    });
  }

  for (const code of [2120, 2121]) {
    it(`${code} is about the connection: it will be asked again on another`, async () => {
      attach();
      add(1);
      outbox.answered(1, code, true);
      await ended('pending');
      const d = attach();
      d.saw(1);
      ack(1);
      await ended('ok');
    });
  }

  it('on another connection than the present one only a success counts', async () => {
    attach();
    add(2);
    const d = attach();
    d.saw(1, 2);
    outbox.answered(1, 2201, false);
    outbox.answered(2, 0, false);
    await ended('pending', 'ok');
    ack(1);
    await ended('ok', 'ok');
  });
});

describe('time', () => {
  it('what is not answered is sent again, and then the connection is given up', async () => {
    const c = attach();
    add(1);
    for (let i = 1; i < MAX_UNANSWERED; i++) {
      c.saw(1);
      await clock.pass(ACK);
    }
    c.saw(1);
    assert.equal(c.stuckTimes, 0);
    await clock.pass(ACK);
    c.saw();
    assert.equal(c.stuckTimes, 1);
  });

  it('each number has its own time', async () => {
    const c = attach();
    add(1);
    await clock.pass(ACK / 2);
    add(1);
    c.saw(1, 2);
    await clock.pass(ACK / 2);
    c.saw(1);
    await clock.pass(ACK / 2);
    c.saw(2);
    ack(1, 2);
    await clock.pass(10 * ACK);
    c.saw();
  });

  it('what is stored has more time', async () => {
    const c = attach();
    add(1);
    await clock.pass(ACK - 1);
    outbox.stored(1);
    await clock.pass(ACK - 1);
    c.saw(1);
    await clock.pass(1);
    c.saw(1);
  });

  it('without a connection nothing is due', async () => {
    attach();
    add(1);
    outbox.detach();
    await clock.pass(10 * ACK);
    assert.equal(clock.pending, 0);
  });
});

describe('another connection', () => {
  it('what was not answered is sent again in order, and then what waits', async () => {
    attach();
    add(6);
    ack(2);
    outbox.detach();
    assert.equal(outbox.first, 1);
    const d = attach();
    d.saw(1, 3, 4, 5);
    ack(1);
    d.saw(6);
  });

  it('not more than it takes', () => {
    attach({}, 8);
    add(8);
    const d = attach({}, 3);
    d.saw(1, 2, 3);
    ack(1, 2);
    d.saw(4, 5);
  });

  it('where the session is forgotten, fillers take the place of what was answered', async () => {
    attach();
    add(5);
    ack(2, 3);
    const d = attach({ resumed: false });
    d.saw(1, '+2', '+3', 4);
    outbox.answered(2, 2110, true);
    d.saw(5);
    outbox.answered(3, 2110, true);
    ack(1, 4, 5);
    await ended('ok', 'ok', 'ok', 'ok', 'ok');
    assert.equal(outbox.first, 6);
  });

  it('from the number that the server was told, though it has been answered since', () => {
    attach();
    add(3);
    const first = outbox.first;
    ack(1);
    const d = attach({ resumed: false, first });
    d.saw('+1', 2, 3);
  });

  it('a message is asked about anew', async () => {
    const c = attach();
    add(1);
    await clock.pass(ACK);
    await clock.pass(ACK);
    c.saw(1, 1, 1);
    const d = attach();
    await clock.pass(ACK);
    d.saw(1, 1);
    assert.equal(d.stuckTimes, 0);
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
