import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Inbox, MAX_HELD, MAX_SESSIONS } from '../inbox.js';
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
  it('so many sessions are remembered, the latest', () => {
    welcome(0);
    let seq = 0;
    const from = (i) => get(++seq, { session: `s${i}`, number: 1, data: `s${i}` });
    for (let i = 0; i <= MAX_SESSIONS; i++) from(i);
    seen.length = 0;
    from(MAX_SESSIONS);
    from(1);
    saw();
    from(0);
    saw('s0');
  });
});

describe('another connection', () => {
  beforeEach(() => {
    welcome(0);
    get(1);
    saw(1);
  });

  it('nothing is missing: nothing is reported', () => {
    welcome(1);
    inbox.alone();
    get(2);
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
