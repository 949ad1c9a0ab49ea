// Which versions of OWT's SDKs are served, and what the others are told.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { four, join, json, kinds, open, product, three, two } from './clients.mjs';
import { name } from './endpoint.mjs';
import { sleep } from './wait.mjs';

const accepted = ['4.2', '4.2.1', '4.3', '4.3.1', '5.0', '5.0.1'];
const refused = ['4.1', '3.0', '6.0', 'x'];

const WATCH = 2000; // how long clients are watched for coming back by themselves, in ms

describe('client versions that are served', { concurrency: 8 }, () => {
  for (const [kind, version] of product(kinds, accepted)) {
    it(`${kind.name}: ${version}`, async (t) => {
      await join(t, kind, { token: name(), version, how: version.startsWith('4.') ? 'query' : 'event' });
    });
  }
});

describe('client versions that are not: 2103, and they do not come again', { concurrency: 16 }, () => {
  for (const version of refused) {
    it(`${two.name}: ${version}: error '2103', never connect`, async (t) => {
      const client = open(t, two, { token: name(), version, how: 'query' });
      const { error } = await client.journal.first('error');
      assert.equal(error, '2103');
      await sleep(WATCH);
      assert.equal(client.journal.count('connect'), 0);
      assert.equal(client.attempts, 1);
    });

    for (const kind of [three, four]) {
      it(`${kind.name}: ${version}: connect_error with the message '2103', never connect`, async (t) => {
        const client = open(t, kind, { token: name(), version, how: 'query' });
        const { message } = await client.journal.first('connect_error');
        assert.equal(message, '2103');
        await sleep(WATCH);
        assert.equal(client.journal.count('connect'), 0);
        assert.equal(client.attempts, 1);
      });
    }

    it(`${json.name}: ${version}: error 2103, closing`, async (t) => {
      const client = open(t, json, { token: name(), version });
      const { code, closing } = await client.journal.first('error');
      assert.deepEqual({ code, closing }, { code: 2103, closing: true });
      await client.journal.first('closed');
      assert.equal(client.journal.count('welcome'), 0);
    });
  }
});
