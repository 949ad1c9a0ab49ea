import assert from 'node:assert/strict';
import { beforeEach, it } from 'node:test';
import { Grace } from '../grace.js';
import { Outbox } from '../outbox.js';
import { Clock, settle } from './clock.js';

const MS = 5000;
let clock, outbox, online, asked, sent;

beforeEach(() => {
  clock = new Clock();
  outbox = new Outbox({ clock, ackTimeout: 60_000, maxQueued: 10 });
  online = new Set();
  asked = [];
  sent = [];
});

/** What is to be sent after a reconnect: to whom, one after the other. */
function back(...to) {
  for (const user of to) outbox.add(user, '1').answered.catch(() => {});
  const grace = new Grace({
    clock, ms: MS, receivers: outbox.receivers, changed: () => outbox.resume(),
    presence: async (user) => {
      asked.push(user);
      if (online.has('fails')) throw 2101;
      return online.has(user);
    },
  });
  const connection = { maxInFlight: 100, post: (text) => sent.push(JSON.parse(text).id) };
  outbox.attach(connection, { resumed: true, first: 1, grace });
}

const saw = async (...expected) => {
  await settle();
  assert.deepEqual(sent.splice(0), expected);
};
const ack = (n, code = 0) => outbox.answered(n, code, true);

it('questions that fail are asked again', async () => {
  online.add('fails').add('bob');
  back('bob');
  await saw();
  online.delete('fails');
  await clock.pass(100);
  await saw(1);
});

it('another failure is no sign that a receiver is away', async () => {
  online.add('bob');
  back('bob', 'bob');
  await saw(1);
  ack(1, 2110);
  await saw(2);
});

it('to others messages go as ever', async () => {
  online.add('bob');
  back('bob');
  outbox.add('eve', '1').answered.catch(() => {});
  await saw(1, 2);
});

it('with the connection it ends', async () => {
  back('bob');
  await settle();
  outbox.detach();
  assert.equal(clock.pending, 0);
  await clock.pass(MS);
  await saw();
});
