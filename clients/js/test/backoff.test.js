import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Backoff } from '../backoff.js';

const backoff = (random, attempts = 100) => new Backoff({ first: 100, most: 1000, attempts, random: () => random });
const pauses = (b, n) => Array.from({ length: n }, () => b.next());

it('there are so many attempts', () => {
  const b = backoff(1, 2);
  assert.deepEqual(pauses(b, 4), [100, 200, undefined, undefined]);
  b.welcomed();
  assert.deepEqual(pauses(b, 3).length, 3);
});
