import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Inbox, MAX_GAPS, MAX_HELD, MAX_SENDERS } from '../inbox.js';
import { Clock } from './clock.js';

const WAIT = 500;
let clock, inbox, seen;

beforeEach(() => {
  clock = new Clock();
  seen = [];
  inbox = new Inbox({
    clock, gapWait: WAIT, deliver: (f) => seen.push(f.data ?? f.seq), gap: ({ first, last }) => seen.push(`${first}-${last ?? ''}`),
  });
});

const get = (seq, more, welcomed = true) => inbox.receive({ from: 'bob', epoch: 'e', seq, ...more }, welcomed);
const welcome = (seq, alone = true, epoch = 'e') => inbox.welcome({ epoch, seq }, alone);
const saw = (...expected) => assert.deepEqual(seen.splice(0), expected);

describe('order', () => {
  it('messages begin after the welcome', () => {
    welcome(7);
    get(8);
    get(9);
    saw(8, 9);
  });

  it('one that comes early waits for those before it', () => {
    welcome(0);
    for (const seq of [2, 4, 3]) get(seq);
    saw();
    get(1);
    saw(1, 2, 3, 4);
    assert.equal(clock.pending, 0);
  });

  it('but not long: then the gap is reported', async () => {
    welcome(0);
    get(3);
    await clock.pass(WAIT - 1);
    saw();
    await clock.pass(1);
    saw('1-2', 3);
  });

  it('each gap is waited for as long', async () => {
    welcome(0);
    get(2);
    await clock.pass(WAIT - 100);
    get(4);
    await clock.pass(100);
    saw('1-1', 2);
    await clock.pass(WAIT - 101);
    saw();
    await clock.pass(1);
    saw('3-3', 4);
  });

  it('so many wait, and no more', () => {
    welcome(0);
    for (let seq = 2; seq < 2 + MAX_HELD; seq++) get(seq);
    saw();
    get(2 + MAX_HELD);
    assert.equal(seen[0], '1-1');
    assert.equal(seen.length, MAX_HELD + 2);
  });
});

describe('repeats', () => {
  it('the same number again is dropped', () => {
    welcome(0);
    for (const seq of [1, 1, 3, 3, 2, 3, 2, 1]) get(seq);
    saw(1, 2, 3);
  });

  it('the same message of a session under another number is dropped, too', () => {
    welcome(0);
    get(1, { session: 's', number: 5 });
    get(2, { session: 's', number: 5 });
    get(3, { session: 's', number: 4 });
    get(4, { session: 's', number: 6 });
    get(5, { session: 't', number: 5 });
    get(6, { session: 's', number: 5, from: 'eve' });
    saw(1, 4, 5, 6);
  });

  it('so many sessions are remembered, the latest', () => {
    welcome(0);
    let seq = 0;
    const from = (i) => get(++seq, { session: `s${i}`, number: 1, data: `s${i}` });
    for (let i = 0; i <= MAX_SENDERS; i++) from(i);
    seen.length = 0;
    from(MAX_SENDERS);
    from(1);
    saw();
    from(0);
    saw('s0');
  });
});

describe('late', () => {
  beforeEach(async () => {
    welcome(0);
    get(4, { from: 'eve' });
    await clock.pass(WAIT);
    saw('1-3', 4);
  });

  it('a message whose number was given up is delivered', () => {
    get(2);
    saw(2);
  });

  it('once', () => {
    for (const seq of [2, 2, 1, 3, 1, 3, 2]) get(seq);
    saw(2, 3);
  });

  it('unless a later one of its sender has been delivered', () => {
    get(3);
    get(1);
    get(2, { from: 'eve' });
    saw(3);
  });

  it('so many gaps are remembered, the latest', async () => {
    for (let i = 1; i <= MAX_GAPS; i++) get(4 + 2 * i, { from: 'eve' });
    await clock.pass(WAIT);
    seen.length = 0;
    get(2, { from: 'x' });
    saw();
    get(5, { from: 'x' });
    saw(5);
  });
});

describe('another connection', () => {
  beforeEach(() => {
    welcome(0);
    get(1);
    saw(1);
  });

  it('what was routed to the one before may still come on that', async () => {
    welcome(3, false);
    get(4);
    get(2);
    saw(2);
    get(3);
    saw(3, 4);
  });

  it('until that has ended', () => {
    welcome(3, false);
    get(4);
    get(6);
    get(2);
    saw(2);
    inbox.alone();
    saw('3-3', 4);
    get(5);
    saw(5, 6);
  });

  it('if it has ended before, the gap is known at once', () => {
    welcome(3);
    saw('2-3');
    get(4);
    saw(4);
  });

  it('nothing is missing: nothing is reported', () => {
    welcome(1);
    inbox.alone();
    get(2);
    saw(2);
  });

  it('a new epoch counts anew, and nobody knows what is missing', () => {
    get(3);
    welcome(0, true, 'f');
    saw('2-2', 3, '4-');
    get(1, { epoch: 'f', data: 'new' });
    saw('new');
  });

  it('a session goes on over epochs', () => {
    get(2, { session: 's', number: 1 });
    welcome(0, true, 'f');
    seen.length = 0;
    get(1, { epoch: 'f', session: 's', number: 1 });
    get(2, { epoch: 'f', session: 's', number: 2 });
    saw(2);
  });

  it('a message of the epoch before is delivered as it comes', () => {
    welcome(0, true, 'f');
    seen.length = 0;
    get(9, { data: 'old' });
    get(9, { data: 'older', session: 's', number: 1 });
    get(9, { data: 'again', session: 's', number: 1 });
    saw('old', 'older');
  });

  it('after a reset it begins anew', () => {
    get(3);
    inbox.reset();
    saw('2-2', 3);
    welcome(10);
    get(11);
    saw(11);
  });
});

describe('before the welcome', () => {
  const early = (seq, more) => get(seq, more, false);

  it('messages wait for it, if it may tell of a new epoch', () => {
    early(8);
    early(10);
    saw();
    welcome(7);
    saw(8);
    get(9);
    saw(9, 10);
  });

  it('those of the epoch that goes on do not', async () => {
    welcome(1);
    early(2);
    saw(2);
    early(5);
    saw();
    welcome(4);
    saw('3-4', 5);
    early(8);
    await clock.pass(WAIT);
    saw('6-7', 8);
    welcome(7);
    saw();
  });

  it('they are delivered where there is none', () => {
    early(8);
    inbox.unwelcome();
    saw(8);
  });

  it('so many wait', () => {
    for (let seq = 1; seq <= MAX_HELD; seq++) early(seq);
    saw();
    early(MAX_HELD + 1);
    assert.equal(seen.length, MAX_HELD + 1);
  });

  it('and not for another user\'s', () => {
    early(8);
    inbox.reset();
    welcome(7);
    saw();
  });
});
