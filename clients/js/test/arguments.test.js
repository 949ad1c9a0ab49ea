import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { MAX_NAME } from '../arguments.js';
import { Code, SignalError, SignalingClient } from '../index.js';
import { Clock, settle } from './clock.js';
import { Sockets } from './sockets.js';

let client, sockets;

beforeEach(async () => {
  sockets = new Sockets();
  client = new SignalingClient({ WebSocket: sockets.WebSocket, clock: new Clock() });
});

const refusal = (text) => (error) => {
  assert.ok(error instanceof SignalError, error);
  assert.equal(error.code, Code.ILLEGAL_ARGUMENT);
  assert.match(error.message, text);
  return true;
};

it('options', () => {
  for (const [options, text] of [
    [{ reconectFirst: 5 }, /there is no reconectFirst; there is .*reconnectFirst/], [null, /must be an object/],
    [{ grace: '5' }, /grace must be a number/], [{ grace: -1 }, /grace/], [{ grace: NaN }, /grace/], [{ retryFirst: 1 }, /retryFirst must be a boolean/],
    [{ WebSocket: null }, /WebSocket must be a function/], [{ clock: 1 }, /clock/],
  ]) {
    assert.throws(() => new SignalingClient(options), refusal(text));
  }
  new SignalingClient({ grace: undefined, reconnectAttempts: Infinity, renewAfter: 0 });
});

it('of connect', async () => {
  const url = 'https://example.com';
  for (const [login, text] of [
    [undefined, /must be an object/], [{ url, tokn: 'x' }, /there is no tokn/], [{}, /url must be the server's address/], [{ url: 'ftp://example.com' }, /begin with https/],
    [{ url, token: '' }, /token .*empty/], [{ url, token: 5 }, /token .*number/], [{ url, token: null }, /token .*object/],
  ]) {
    await assert.rejects(client.connect(login), refusal(text));
  }
  assert.equal(client.state, 'disconnected');
});

describe('while it is connected', () => {
  beforeEach(async () => {
    const user = client.connect({ url: 'https://example.com', token: 'alice' });
    await settle();
    sockets.last.welcome({ maxWatched: 64 });
    await user;
  });

  it('names', async () => {
    for (const [name, text] of [
      [undefined, /not undefined/], [5, /not 5/], ['', /not empty/], ['x'.repeat(MAX_NAME + 1), /longer than 256/], ['ä'.repeat(MAX_NAME / 2) + 'x', /longer/],
      ['\ud800', /well-formed/], ['\ufffd', /well-formed/],
    ]) {
      await assert.rejects(client.send(name, 'x'), refusal(text));
      await assert.rejects(client.presence(name), refusal(text));
      assert.throws(() => client.watch(name), refusal(text));
    }
    client.send('x'.repeat(MAX_NAME), 'x').catch(() => {});
    client.send('ä'.repeat(MAX_NAME / 2), 'x').catch(() => {});
  });

  it('data', async () => {
    const circle = [];
    circle.push(circle);
    for (const [data, text] of [[undefined, /not undefined/], [() => {}, /not function/], [Symbol('x'), /not symbol/], [1n, /BigInt/], [circle, /circular/]]) {
      await assert.rejects(client.send('bob', data), refusal(text));
    }
    sockets.last.saw();
    const values = [null, false, 0, '', 'x', [1, [2]], { a: { b: null } }];
    for (const value of values) client.send('bob', value).catch(() => {});
    await new Promise(setImmediate);
    assert.deepEqual(sockets.last.sent.flat().map(({ data }) => data), values);
  });
});
