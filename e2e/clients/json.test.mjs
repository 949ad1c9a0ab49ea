// The subprotocol owt.signal.v1.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, json, kinds, open } from './clients.mjs';
import { name } from './endpoint.mjs';
import { SUBPROTOCOL } from './json.mjs';
import { eventually, sleep } from './wait.mjs';

describe('handshake', { concurrency: 8 }, () => {
  it('the subprotocol that is offered is chosen', async (t) => {
    const client = await join(t, json, { token: name() });
    assert.equal(client.socket.protocol, SUBPROTOCOL);
  });

  it('it is found among others', async (t) => {
    const client = await join(t, json, { token: name(), protocols: ['chat', SUBPROTOCOL, 'mqtt'] });
    assert.equal(client.socket.protocol, SUBPROTOCOL);
  });

  it('none need be offered', async (t) => {
    const client = await join(t, json, { token: name(), protocols: [] });
    assert.equal(client.socket.protocol, '');
  });

  it('others alone are refused', async (t) => {
    const client = open(t, json, { token: name(), protocols: ['owt.signal.v0', 'chat'] });
    const { message } = await client.journal.first('failed');
    assert.match(message, /Unexpected server response: 4\d\d/);
    assert.equal(client.journal.count('opened'), 0);
  });

  it('the welcome says the user, and where the sequence numbers stand', async (t) => {
    const token = name();
    const client = await join(t, json, { token });
    const { user, epoch, seq } = await client.journal.first('welcome');
    assert.equal(user, token);
    assert.match(epoch, /./);
    assert.ok(Number.isInteger(seq));
    for (let i = 1; i <= 3; i++) assert.equal(await client.send(token, i), 0);
    await client.inbox.reach(3, 'message');
    assert.deepEqual(client.inbox.entries.map((m) => [m.epoch, m.seq]), [1, 2, 3].map((i) => [epoch, seq + i]));

    client.close();
    await client.journal.first('closed');
    const again = await join(t, json, { token });
    const welcome = await again.journal.first('welcome');
    assert.deepEqual([welcome.epoch, welcome.seq], [epoch, seq + 3], 'the count goes on after a reconnect');
  });
});

describe('frames', { concurrency: 8 }, () => {
  it('a ping is answered by a pong', async (t) => {
    const client = await join(t, json, { token: name() });
    for (let i = 1; i <= 3; i++) {
      client.write({ type: 'ping' });
      await client.journal.nth(i, 'pong');
    }
  });

  it('presence', async (t) => {
    const client = await join(t, json, { token: name() });
    const user = name('seen');
    let asked = 0;
    const presence = async () => {
      client.write({ type: 'presence', user });
      const { what: _, ...frame } = await client.journal.nth(++asked, 'presence');
      return frame;
    };
    for (const kind of kinds) {
      assert.deepEqual(await presence(), { type: 'presence', user, online: false });
      const other = await join(t, kind, { token: user });
      assert.deepEqual(await presence(), { type: 'presence', user, online: true });
      other.close();
      await eventually(`${kind.name} to be offline`, presence, ({ online }) => !online);
    }
  });

  const wrong = [
    ['no JSON', 'hello', 2110],
    ['half of an object', '{"type":"ping"', 2110],
    ['two objects', '{"type":"ping"}{"type":"ping"}', 2110],
    ['an array of nothing', '[]', 2110],
    ['an array that does not end', '[{"type":"message","to":"x","data":1}', 2110],
    ['an array of what is no message', '[{"type":"ping"}]', 2103],
    ['an array of too many', JSON.stringify(Array(33).fill({ type: 'message', to: 'x', data: 1 })), 2110],
    ['a string', '"ping"', 2110],
    ['null', 'null', 2110],
    ['no type', '{}', 2103],
    ['an unknown type', '{"type":"dance"}', 2103],
    ['a message whose id is a string', '{"type":"message","id":"1","to":"x","data":1}', 2110],
    ['a message whose id is zero', '{"type":"message","id":0,"to":"x","data":1}', 2110],
    ['a message whose id is a fraction', '{"type":"message","id":1.5,"to":"x","data":1}', 2110],
    ['presence of nobody', '{"type":"presence"}', 2110],
  ];
  for (const [label, frame, code] of wrong) {
    it(`${label}: error ${code}, and the connection stays open`, async (t) => {
      const client = await join(t, json, { token: name() });
      client.write(frame);
      const error = await client.journal.first('error');
      assert.equal(error.code, code);
      assert.equal('closing' in error, false);
      assert.equal(await client.send(client.user, 'still here'), 0);
      await client.inbox.first('message');
      assert.equal(client.connected, true);
    });
  }

  const numbered = [
    ['to nobody', '"data":1'],
    ['to a number', '"to":1,"data":1'],
    ['without data', '"to":"x"'],
  ];
  for (const [label, members] of numbered) {
    it(`a message ${label}: error 2110 with its id, and its place in the order`, async (t) => {
      const client = await join(t, json, { token: name() });
      client.write(`{"type":"message","id":1,${members}}`);
      client.write({ type: 'message', id: 2, to: client.user, data: 'next' });
      await client.inbox.first('message', 2500);
      await eventually('two answers', async () => client.strays.length, (n) => n === 2);
      const answers = client.strays.map((text) => JSON.parse(text)).sort((a, b) => a.id - b.id);
      assert.deepEqual([answers[0].type, answers[0].code, answers[1]], ['error', 2110, { type: 'ack', id: 2 }]);
    });
  }

  it('a message without an id is delivered', async (t) => {
    const client = await join(t, json, { token: name() });
    client.write({ type: 'message', to: client.user, data: 'no ack asked' });
    assert.equal((await client.inbox.first('message')).data, 'no ack asked');
  });

  it('the same message again is acked again and delivered once, another one under its number is an error', async (t) => {
    const client = await join(t, json, { token: name() });
    for (let i = 0; i < 3; i++) client.write({ type: 'message', id: 1, to: client.user, data: 'first' });
    client.write({ type: 'message', id: 2, to: client.user, data: 'end' });
    await client.inbox.find('the last message', (m) => m.data === 'end');
    assert.equal(client.inbox.entries.length, 2);
    const strays = (start) => client.strays.filter((text) => text.startsWith(start)).length;
    client.write({ type: 'message', id: 1, to: client.user, data: 'first' });
    await eventually('another ack', async () => strays('{"type":"ack","id":1}'), (n) => n >= 2);
    client.write({ type: 'message', id: 1, to: client.user, data: 'late' });
    await eventually('an error', async () => strays('{"type":"error","id":1,"code":2110'), (n) => n === 1);
    await sleep(300);
    assert.equal(client.inbox.entries.length, 2);
  });

  it('a number that never comes is waited for, and no longer than some seconds', async (t) => {
    const client = await join(t, json, { token: name() });
    client.write({ type: 'message', id: 1, to: client.user, data: 1 });
    await client.inbox.first('message');
    client.write({ type: 'message', id: 3, to: client.user, data: 3 });
    await sleep(1500);
    assert.equal(client.inbox.entries.length, 1, 'it is waited for');
    await client.inbox.reach(2, 'message', 5000);
    client.write({ type: 'message', id: 2, to: client.user, data: 2 });
    client.write({ type: 'message', id: 4, to: client.user, data: 4 });
    await client.inbox.reach(3, 'message');
    assert.deepEqual(client.inbox.entries.map((m) => m.data), [1, 3, 4]);
    const late = () => client.strays.map((text) => JSON.parse(text)).find(({ id }) => id === 2);
    assert.equal((await eventually('the answer to the late one', async () => late(), Boolean)).type, 'error');
  });

  it('leave closes the connection, and the user is offline', async (t) => {
    const [client, other] = await Promise.all([join(t, json, { token: name() }), join(t, json, { token: name() })]);
    client.write({ type: 'leave' });
    await client.journal.first('closed');
    assert.equal(await other.send(client.user, 'gone?'), 2201);
  });
});

describe('several in a frame', { concurrency: 8 }, () => {
  const messages = (to, first, last) => Array.from({ length: last - first + 1 }, (_, i) => ({ type: 'message', id: first + i, to, data: first + i }));
  const answers = (client) => client.strays.map((text) => JSON.parse(text)).map(({ id, code = 0 }) => [id, code]).sort(([a], [b]) => a - b);

  for (const batch of ['1', undefined]) {
    for (const kind of kinds) {
      it(`${kind.name} gets them in order, of a client that ${batch ? 'takes' : 'does not take'} arrays`, async (t) => {
        const [client, peer] = await Promise.all([join(t, json, { token: name(), batch }), join(t, kind, { token: name(), batch })]);
        const { maxBatch } = await client.journal.first('open');
        assert.equal(maxBatch, 32);
        client.write(messages(peer.user, 1, maxBatch));
        client.write(messages(peer.user, maxBatch + 1, maxBatch + 20));
        const all = maxBatch + 20;
        await peer.inbox.reach(all, 'message');
        assert.deepEqual(peer.inbox.entries.map((m) => m.data), Array.from({ length: all }, (_, i) => i + 1));
        await eventually('all answers', async () => client.strays.length, (n) => n >= all);
        assert.deepEqual(answers(client), Array.from({ length: all }, (_, i) => [i + 1, 0]));
        for (const c of [client, peer].filter((c) => c.frames.length > 0 && !c.io)) {
          const arrays = c.frames.filter((text) => text.startsWith('[{')).length;
          assert.equal(arrays > 0, Boolean(batch) && (c === client || kind === json), `${arrays} arrays`);
        }
      });
    }
  }

  it('what is good of them is delivered, and the others are answered', async (t) => {
    const client = await join(t, json, { token: name(), batch: '1' });
    const [one, , three, four] = messages(client.user, 1, 4);
    client.write([one, { type: 'message', id: 2, to: name('nobody'), data: 2 }, { ...three, to: 3 }, 'x', { type: 'ping' }, four, { type: 'message', to: client.user, data: 'last' }]);
    await client.inbox.reach(3, 'message');
    await eventually('four answers', async () => client.strays.length, (n) => n === 4);
    assert.deepEqual(answers(client), [[1, 0], [2, 2201], [3, 2110], [4, 0]]);
    await client.journal.nth(2, 'error');
    assert.deepEqual(client.inbox.entries.map((m) => m.data), [1, 4, 'last']);
    assert.deepEqual(client.journal.entries.filter((e) => e.what === 'error').map((e) => e.code), [2110, 2103]);
  });

  it('they are held, and go with those before them', async (t) => {
    const client = await join(t, json, { token: name(), batch: '1' });
    client.write(messages(client.user, 4, 6));
    await client.journal.nth(3, 'stored');
    client.write(messages(client.user, 1, 3).reverse());
    await client.inbox.reach(6, 'message');
    assert.deepEqual(client.inbox.entries.map((m) => m.data), [1, 2, 3, 4, 5, 6]);
    await eventually('all answers', async () => client.strays.length, (n) => n === 6);
    client.write(messages(client.user, 1, 7));
    await eventually('all answers again', async () => client.strays.length, (n) => n === 13);
    await client.inbox.reach(7, 'message');
    await sleep(300);
    assert.equal(client.inbox.entries.length, 7);
  });

  it('up to the size of a frame, and larger ones alone', async (t) => {
    const [client, peer] = await Promise.all([join(t, json, { token: name() }), join(t, json, { token: name(), batch: '1' })]);
    const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((k) => k * 3000);
    for (let i = 0; i < sizes.length; i += 3) {
      client.write(sizes.slice(i, i + 3).map((size, j) => ({ type: 'message', id: i + j + 1, to: peer.user, data: 'x'.repeat(size / 3) })));
    }
    await peer.inbox.reach(sizes.length, 'message');
    assert.deepEqual(peer.inbox.entries.map((m) => m.data.length), sizes.map((size) => size / 3));
    assert.ok(peer.frames.every((text) => text.length <= 32 << 10));
  });
});

describe('data is passed on as it was written', { concurrency: 8 }, () => {
  const written = [
    '1.10', '12345678901234567890', '-0.0', '1E5', 'true', 'null', '""', '[]',
    '{ "a" : [ 1.00 , {"a":1,"a":2} ] }',
    '"<>& \\u003c \\/ \\" \\\\ \\ud800"',
    '"\u2028\u2029 \\u2028"',
    '"👩‍👩‍👧‍👦 \\ud83d\\ude00"',
    '{"to":"x","from":"y","type":"z","seq":-1,"epoch":"e"}',
  ];
  for (const kind of kinds) {
    it(`to ${kind.name}`, async (t) => {
      const [client, peer] = await Promise.all([join(t, json, { token: name() }), join(t, kind, { token: name() })]);
      for (const raw of written) {
        const { type } = await client.answer(client.ask(peer.user, raw), 'the ack');
        assert.equal(type, 'ack', raw);
      }
      await peer.inbox.reach(written.length, 'message');
      const frames = peer.frames.filter((text) => text.includes(JSON.stringify(client.user)));
      written.forEach((raw, i) => {
        const { data } = peer.inbox.entries[i];
        assert.deepEqual(data, JSON.parse(raw));
        assert.ok([',', '}'].some((end) => frames[i].includes(`"data":${raw}${end}`)), `${raw} in ${frames[i]}`);
      });
    });
  }
});
