import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Backoff } from '../backoff.js';

const backoff = (random, attempts = 100) => new Backoff({ first: 100, most: 1000, attempts, random: () => random });
const pauses = (b, n) => Array.from({ length: n }, () => b.next());

it('the pauses double, up to a limit', () => {
  assert.deepEqual(pauses(backoff(1), 6), [100, 200, 400, 800, 1000, 1000]);
});

it('they are at random, at least half as long', () => {
  assert.deepEqual(pauses(backoff(0), 6), [50, 100, 200, 400, 500, 500]);
});

it('there are so many attempts', () => {
  const b = backoff(1, 2);
  assert.deepEqual(pauses(b, 4), [100, 200, undefined, undefined]);
  b.connected();
  assert.deepEqual(pauses(b, 3).length, 3);
});

it('a connection that does not hold does not make the pauses short again', () => {
  const b = backoff(1);
  pauses(b, 2);
  b.connected();
  assert.equal(b.next(), 400);
  b.connected();
  b.held();
  assert.equal(b.next(), 100);
});
