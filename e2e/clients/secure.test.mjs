// The same over TLS.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, kinds } from './clients.mjs';
import { name, SECURE_ENDPOINT } from './endpoint.mjs';

const secure = { endpoint: SECURE_ENDPOINT, insecure: true };

describe('over TLS', { concurrency: true, skip: SECURE_ENDPOINT === undefined && 'SECURE_ENDPOINT is not set' }, () => {
  for (const [i, kind] of kinds.entries()) {
    const other = kinds[(i + 1) % kinds.length];
    it(`${kind.name} and ${other.name}`, async (t) => {
      const [a, b] = await Promise.all([
        join(t, kind, { ...secure, token: name(), how: 'query' }),
        join(t, other, { ...secure, token: name(), how: 'event' }),
      ]);
      for (const [from, to] of [[a, b], [b, a]]) {
        assert.deepEqual(await Promise.all([1, 2, 3].map((n) => from.send(to.user, `${n} 用户`))), [0, 0, 0]);
        await to.inbox.reach(3, 'message');
        assert.deepEqual(to.inbox.entries.map((m) => m.data), ['1 用户', '2 用户', '3 用户']);
      }
    });
  }
});
