// The distribution of template.yaml, by its function: its address alone is enough for any client.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import io1 from 'socket.io-client-1';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import { io as io4 } from 'socket.io-client-4';
import WebSocket from 'ws';
import { within } from '../clients/wait.mjs';
import { compile, event, serve } from './cloudfront.mjs';

// The origins are one server's, or those of a stack.
const { CODE, SERVER, SOCKET = SERVER, LOBBY = SERVER, EDGE } = process.env;

describe('the function', () => {
  const run = compile(CODE);
  const upgrade = { Upgrade: 'websocket', Connection: 'Upgrade' };
  for (const [what, method, url, headers, origin, path] of [
    ['a poll', 'GET', '/socket.io/?EIO=4&transport=polling&t=abc', {}, 'lobby', '/socket.io/'],
    ['a poll of another path', 'GET', '/x/y?EIO=3&transport=polling&sid=1', {}, 'lobby', '/socket.io/'],
    ['a post', 'POST', '/socket.io/?EIO=4&transport=polling&sid=1', {}, 'lobby', '/socket.io/'],
    ['a preflight', 'OPTIONS', '/socket.io/?EIO=4&transport=polling', {}, 'lobby', '/socket.io/'],
    ['a WebSocket', 'GET', '/socket.io/?EIO=4&transport=websocket&sid=1', upgrade, 'socket', '/prod'],
    ['a WebSocket that says polling', 'GET', '/socket.io/?EIO=4&transport=polling', upgrade, 'socket', '/prod'],
    ['a JSON client', 'GET', '/', upgrade, 'socket', '/prod'],
    ['a JSON client, with the path of the stage', 'GET', '/prod?token=x', upgrade, 'socket', '/prod'],
    ['the @connections of the API', 'POST', '/prod/@connections/x', {}, 'socket', '/prod'],
    ['a query without a value', 'GET', '/?transport', {}, 'socket', '/prod'],
    ['a query that means nothing', 'GET', '/?transport=POLLING&__proto__=1', {}, 'socket', '/prod'],
  ]) {
    it(what, () => {
      const given = event(method, url, headers);
      const query = structuredClone(given.request.querystring);
      const got = run(given);
      assert.equal(got.origin, origin);
      assert.equal(got.request.uri, path);
      assert.deepEqual(got.request.querystring, query);
    });
  }

  it('is held to what the runtime has', () => {
    for (const newer of ['const a = 1;', 'var f = () => 1;', 'var {a} = {};', 'require("x");', 'process.exit();', 'eval("1");', 'setTimeout(handler);']) {
      assert.throws(() => compile(`import cf from 'cloudfront';\nfunction handler(e) { return e.request; }\n${newer}`), newer);
    }
  });
});

describe('the address', () => {
  let distribution;
  before(async () => {
    const port = (url) => Number(new URL(url).port);
    distribution = await serve(CODE, { socket: { port: port(SOCKET), headers: EDGE && Object.fromEntries([EDGE.split(': ')]) }, lobby: { port: port(LOBBY) } });
  });
  after(() => distribution.close());

  for (const [name, io] of [['1', io1], ['2', io2], ['3', io3], ['4', io4]]) {
    for (const path of [undefined, '/signal']) {
      it(`is enough for Socket.IO ${name}${path ? `, with the path ${path}` : ''}`, async (t) => {
        const socket = io(distribution.address, { forceNew: true, ...(path && { path }) });
        t.after(() => socket.close());
        const user = `user ${name} ${path}`;
        await within(new Promise((connected, failed) => {
          socket.on('connect', connected).on('connect_error', failed).on('error', failed);
        }), 'the connection');
        const emit = (...args) => within(new Promise((acked) => { socket.emit(...args, (...answer) => acked(answer)); }), args[0]);
        assert.deepEqual(await emit('authentication', { token: user }), [{ uid: user }]);
        const got = new Promise((arrived) => { socket.on('owt-message', arrived); });
        assert.deepEqual(await emit('owt-message', { to: user, data: 'hello' }), []);
        assert.equal((await within(got, 'the message')).data, 'hello');
        assert.equal(socket.io.engine.transport.name, 'websocket');
      });
    }
  }

  it('is enough for a JSON client', async (t) => {
    const socket = new WebSocket(`${distribution.address.replace('http', 'ws')}/?token=json`);
    t.after(() => socket.terminate());
    const first = await within(new Promise((arrived, failed) => { socket.on('message', arrived).on('error', failed); }), 'the first frame');
    assert.equal(JSON.parse(first).type, 'open');
  });

  it('was asked for both', () => {
    for (const origin of ['lobby', 'socket']) assert.ok(distribution.seen.some((r) => r.origin === origin), origin);
  });
});
