import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Code, DEFAULTS, SignalError, SignalingChannel, SignalingClient } from '../index.js';
import { Clock, settle } from './clock.js';
import { Sockets } from './sockets.js';

const MINUTE = 60_000;
const LOGIN = { host: 'https://example.com:8096', token: 'alice' };
let clock, sockets, client, told;

beforeEach(() => begin());

function begin(options) {
  clock = new Clock();
  sockets = new Sockets();
  told = [];
  client = new SignalingClient({ WebSocket: sockets.WebSocket, clock, random: () => 1, ...options });
  client.onMessage = (from, message) => told.push(`${from}: ${message}`);
  client.onEnd = ({ reason, code }) => told.push(`end: ${reason}${code ? ` ${code}` : ''}`);
  client.onStateChange = (state) => told.push(state);
  client.onGap = ({ first, last }) => told.push(`gap ${first}-${last ?? ''}`);
}

/** How a promise ends: its value, or the code of the error that it is rejected with. */
const outcome = (promise) => promise.then((value) => value ?? 'ok', (error) => {
  assert.ok(error instanceof SignalError && error.message.endsWith(`(${error.code})`), error);
  return error.code;
});
const send = (to = 'bob', text = 'x') => outcome(client.send(to, text));
const heard = (...expected) => assert.deepEqual(told.splice(0), expected);

/** Connects, and says nothing of it. */
async function join(more) {
  const user = client.connect(LOGIN);
  await settle();
  sockets.last.welcome(more);
  await user;
  told.length = 0;
  return sockets.last;
}

/** After a connection was lost, another is welcome. */
async function back(more) {
  const before = sockets.all.length;
  await clock.pass(DEFAULTS.reconnectFirst);
  assert.equal(sockets.all.length, before + 1);
  sockets.last.welcome(more);
  return sockets.last;
}

const message = (seq, more) => ({ type: 'message', from: 'bob', data: `m${seq}`, epoch: 'e', seq, ...more });

describe('the address', () => {
  for (const [given, opened] of Object.entries({
    'https://example.com:8096': 'wss://example.com:8096/socket.io/',
    'http://localhost:8095/': 'ws://localhost:8095/socket.io/',
    'wss://api.example.com/prod': 'wss://api.example.com/prod',
    'ws://localhost:8095/prod/?stage=1#x': 'ws://localhost:8095/prod/?stage=1',
  })) {
    it(given, async () => {
      client.connect({ host: given, token: 'alice' });
      await settle();
      const { url } = sockets.last;
      const { session, ...query } = sockets.last.query;
      assert.match(session, /^[0-9a-f]{32}$/);
      assert.deepEqual({ ...query, stage: undefined }, { first: '1', batch: '1', recover: '1', stage: undefined });
      for (const key of ['session', 'first', 'batch', 'recover']) url.searchParams.delete(key);
      assert.equal(url.href, opened);
    });
  }

  it('may be called url', async () => {
    client.connect({ url: 'ws://example.com/prod' });
    await settle();
    assert.equal(sockets.last.url.pathname, '/prod');
  });

  it('does not have the token, which goes beside the subprotocol', async () => {
    for (const [token, protocol] of [['alice', 'YWxpY2U'], ['>>>???ä', 'Pj4-Pz8_w6Q'], ['x'.repeat(8192), Buffer.alloc(8192, 'x').toString('base64url')]]) {
      begin();
      client.connect({ ...LOGIN, token });
      await settle();
      assert.deepEqual(sockets.last.protocols, ['owt.signal.v1', `owt.token.${protocol}`]);
    }
    begin();
    client.connect({ host: LOGIN.host });
    await settle();
    assert.deepEqual(sockets.last.protocols, ['owt.signal.v1']);
  });

  it('that is none is refused', async () => {
    for (const host of [undefined, 'example.com', 'ftp://example.com']) {
      assert.equal(await outcome(client.connect({ host })), Code.ILLEGAL_ARGUMENT);
    }
    assert.equal(client.state, 'disconnected');
  });

  it('that the browser refuses is told', async () => {
    sockets.error = new Error('mixed content');
    assert.equal(await outcome(client.connect(LOGIN)), Code.ILLEGAL_ARGUMENT);
    heard('connecting', 'disconnected', 'end: refused 2402');
  });

  it('is of no use without WebSocket', async () => {
    client = new SignalingClient({ clock });
    const user = outcome(client.connect(LOGIN));
    assert.equal(await user, Code.NO_WEBSOCKET);
    assert.equal(client.state, 'disconnected');
  });
});

describe('connect', () => {
  it('resolves with the name', async () => {
    const user = outcome(client.connect(LOGIN));
    await settle();
    heard('connecting');
    sockets.last.greet();
    await settle();
    heard();
    sockets.last.welcome();
    assert.equal(await user, 'alice');
    heard('connected');
  });

  it('once', async () => {
    await join();
    assert.equal(await outcome(client.connect(LOGIN)), Code.INVALID_STATE);
  });

  it('asks for the token each time, if it is a function', async () => {
    let n = 0;
    const user = client.connect({ ...LOGIN, token: async () => `token${++n}` });
    await settle();
    const token = () => Buffer.from(sockets.last.protocols[1].slice('owt.token.'.length), 'base64url').toString();
    assert.equal(token(), 'token1');
    sockets.last.welcome();
    await user;
    sockets.last.end();
    await clock.pass(DEFAULTS.reconnectFirst);
    assert.equal(token(), 'token2');
  });

  it('tries again where the token cannot be had, if it is told to', async () => {
    begin({ retryFirst: true });
    let n = 0;
    const user = outcome(client.connect({ ...LOGIN, token: () => { if (++n === 1) throw new Error('not yet'); return 'alice'; } }));
    await clock.pass(DEFAULTS.reconnectFirst);
    sockets.last.welcome();
    assert.equal(await user, 'alice');
  });

  it('tries again when nobody answers, if it is told to, more and more slowly, and not for ever', async () => {
    begin({ retryFirst: true });
    const user = outcome(client.connect(LOGIN));
    const times = [];
    for (let seen = 0; client.state === 'connecting';) {
      await clock.pass(100);
      if (sockets.all.length === seen) continue;
      seen = sockets.all.length;
      times.push(clock.now());
      sockets.last.end();
    }
    assert.equal(await user, Code.UNAVAILABLE);
    assert.equal(times.length, 1 + DEFAULTS.reconnectAttempts);
    const pauses = times.slice(1).map((t, i) => t - times[i]);
    assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000, 15000, 15000]);
    heard('connecting', 'disconnected', 'end: unreachable 2101');
    assert.equal(clock.pending, 0);
  });

  it('gives up a handshake that hangs, and a token that does not come', async () => {
    const user = outcome(client.connect(LOGIN));
    await settle();
    sockets.last.greet();
    await clock.pass(DEFAULTS.connectTimeout);
    assert.equal(await user, Code.UNAVAILABLE);
    assert.equal(sockets.all[0].readyState, 2);
    const other = outcome(client.connect({ ...LOGIN, token: () => new Promise(() => {}) }));
    await clock.pass(DEFAULTS.connectTimeout);
    assert.equal(await other, Code.UNAUTHENTICATED);
    assert.equal(clock.pending, 0);
    assert.equal(sockets.all.length, 1);
  });

  for (const code of [2103, 2120, 2121]) {
    it(`is rejected with ${code}, and that is that`, async () => {
      const user = outcome(client.connect(LOGIN));
      await settle();
      sockets.last.greet();
      sockets.last.say({ type: 'error', code, message: 'x', closing: true });
      assert.equal(await user, code);
      heard('connecting', 'disconnected', `end: refused ${code}`);
      assert.equal(clock.pending, 0);
    });
  }

  it('tries again when the server could not say who it is, if it is told to', async () => {
    begin({ retryFirst: true });
    const user = outcome(client.connect(LOGIN));
    await settle();
    sockets.last.greet();
    sockets.last.say({ type: 'error', code: 2101, message: 'x', closing: true });
    sockets.last.end(1000);
    await clock.pass(DEFAULTS.reconnectFirst);
    sockets.last.welcome();
    assert.equal(await user, 'alice');
  });

  it('fails at once if the first attempt does, and the next may be better', async () => {
    const user = outcome(client.connect(LOGIN));
    await settle();
    sockets.last.end(1006);
    assert.equal(await user, Code.UNAVAILABLE);
    heard('connecting', 'disconnected', 'end: unreachable 2101');
    assert.equal(clock.pending, 0);
    await join();
  });

  it('and disconnect at once, and connect again, as React does in its strict mode', async () => {
    const first = outcome(client.connect(LOGIN));
    client.disconnect();
    const second = outcome(client.connect(LOGIN));
    await settle();
    assert.equal(sockets.all.length, 1); // one that is closed while it opens may reach the server after the other, and take over
    sockets.last.welcome();
    assert.deepEqual([await first, await second], [Code.CLOSED, 'alice']);
    assert.equal(client.state, 'connected');
  });

  it('is ended by a signal, but not when it is done', async () => {
    const controller = new AbortController();
    const user = client.connect({ ...LOGIN, signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(user, /enough/);
    heard('connecting', 'disconnected', 'end: left');
    await assert.rejects(client.connect({ ...LOGIN, signal: controller.signal }), /enough/);
    const other = new AbortController();
    const again = client.connect({ ...LOGIN, signal: other.signal });
    await settle();
    sockets.last.welcome();
    await again;
    other.abort();
    assert.equal(client.state, 'connected');
  });

  it('tells of each attempt that will follow, and why', async () => {
    begin({ retryFirst: true });
    const retries = [];
    client.onRetry = ({ attempt, delay, reason }) => retries.push([attempt, delay, reason.code]);
    client.connect(LOGIN);
    await settle();
    sockets.last.end();
    await clock.pass(500);
    sockets.last.greet();
    sockets.last.say({ type: 'error', code: 2102, message: 'busy', closing: true });
    sockets.last.end(1000);
    await clock.pass(1000);
    sockets.last.welcome();
    sockets.last.end(1001);
    assert.deepEqual(retries, [[1, 500, 2101], [2, 1000, 2102], [1, 500, 2101]]);
  });

  it('is what the name and ready wait for', async () => {
    assert.equal(await outcome(client.ready), Code.NOT_CONNECTED);
    client.connect(LOGIN);
    await settle();
    const ready = outcome(client.ready);
    assert.equal(client.user, undefined);
    sockets.last.welcome();
    assert.deepEqual([await ready, client.user], ['alice', 'alice']);
    sockets.last.end();
    const again = outcome(client.ready);
    assert.equal(client.user, 'alice');
    await back();
    assert.equal(await again, 'alice');
    await client.disconnect();
    assert.equal(client.user, undefined);
  });

  it('works again after the end', async () => {
    const a = await join();
    a.say({ type: 'superseded' });
    heard('disconnected', 'end: superseded');
    const user = outcome(client.connect({ ...LOGIN, token: 'carol' }));
    await settle();
    sockets.last.welcome({ user: 'carol', seq: 9 });
    assert.equal(await user, 'carol');
    assert.equal(sockets.last.query.resume, 'c1');
    heard('connecting', 'connected');
  });
});

describe('messages', () => {
  it('are sent when there is a connection', async () => {
    client.connect(LOGIN);
    await settle();
    const sent = send();
    sockets.last.greet();
    assert.deepEqual(sockets.last.saw(), []);
    sockets.last.welcome();
    await settle();
    assert.deepEqual(sockets.last.saw(), [1]);
    sockets.last.say({ type: 'ack', id: 1 });
    assert.equal(await sent, 'ok');
  });

  it('are not sent where there will be none', async () => {
    assert.equal(await send(), Code.NOT_CONNECTED);
  });

  it('are rejected with an error', async () => {
    const a = await join();
    const sent = client.send('bob', 'x');
    await settle();
    a.say({ type: 'error', id: 1, code: 2201, message: 'target unreachable' });
    await assert.rejects(sent, { name: 'SignalError', code: Code.UNREACHABLE, message: 'the receiver is not online (2201)' });
  });

  it('are rejected with a number by the channel for OWT\'s SDK, which knows nothing else', async () => {
    client = new SignalingChannel({ WebSocket: sockets.WebSocket, clock });
    assert.equal(await client.connect({}).catch((code) => code), Code.ILLEGAL_ARGUMENT);
    const ends = [];
    client.onServerDisconnected = ({ reason }) => ends.push(reason);
    const a = await join();
    const sent = client.send('bob', 'x').catch((code) => code);
    await settle();
    a.say({ type: 'error', id: 1, code: 2201, message: 'target unreachable' });
    assert.equal(await sent, 2201);
    assert.equal(await client.presence('').catch((code) => code), Code.ILLEGAL_ARGUMENT);
    await client.disconnect();
    assert.deepEqual(ends, ['left']);
  });

  it('are told to listeners, too', async () => {
    const seen = [];
    for (const type of ['message', 'statechange', 'gap', 'end']) client.addEventListener(type, ({ detail }) => seen.push([type, detail]));
    const a = await join();
    a.say(message(2));
    await clock.pass(DEFAULTS.gapWait);
    a.say({ type: 'superseded' });
    assert.deepEqual(seen, [
      ['statechange', { state: 'connecting', end: undefined }], ['statechange', { state: 'connected', end: undefined }],
      ['gap', { epoch: 'e', first: 1, last: 1 }], ['message', { from: 'bob', data: 'm2' }],
      ['statechange', { state: 'disconnected', end: { reason: 'superseded' } }], ['end', { reason: 'superseded' }],
    ]);
  });

  it('that wait are taken back by a signal; of one that was sent nobody waits any more', async () => {
    const a = await join({ maxInFlight: 1 });
    const controller = new AbortController();
    const ends = [1, 2].map((n) => client.send('bob', n, controller).catch((error) => error.name));
    const last = send('bob', 3);
    controller.abort();
    assert.deepEqual(await Promise.all(ends), ['AbortError', 'AbortError']);
    a.say({ type: 'ack', id: 1 });
    await settle();
    assert.deepEqual(a.sent.map(({ data }) => data), [1, 3]);
    a.say({ type: 'ack', id: 2 });
    assert.equal(await last, 'ok');
  });

  it('may be anything; what is no frame is passed over', async () => {
    const a = await join();
    a.say('{');
    a.say('null');
    a.say('{"message": "Internal server error", "connectionId":"x", "requestId":"y"}');
    a.say({ type: 'of tomorrow' });
    a.say(message(1, { data: { x: 1 } }));
    heard('bob: [object Object]');
  });

  it('whose handler throws do not disturb the others', async () => {
    const a = await join();
    const thrown = [];
    const { listeners } = withoutListeners('uncaughtException', (e) => thrown.push(e.message));
    client.onMessage = (_, text) => { told.push(text); throw new Error(text); };
    a.say(message(2));
    a.say(message(1));
    await settle();
    listeners.restore();
    heard('m1', 'm2');
    assert.deepEqual(thrown, ['m1', 'm2']);
    assert.equal(client.state, 'connected');
  });
});

/** Puts one listener in the place of all others, the test runner's. */
function withoutListeners(event, listener) {
  const others = process.listeners(event);
  process.removeAllListeners(event);
  process.on(event, listener);
  return {
    listeners: {
      restore() {
        process.removeAllListeners(event);
        for (const other of others) process.on(event, other);
      },
    },
  };
}

describe('a lost connection', () => {
  it('for too long ends the client', async () => {
    begin({ reconnectAttempts: 2 });
    const a = await join();
    const sent = send();
    a.end();
    const waits = send();
    for (const pause of [500, 1000]) {
      await clock.pass(pause);
      sockets.last.end();
    }
    heard('reconnecting', 'disconnected', 'end: unreachable 2101');
    assert.deepEqual([await sent, await waits], [Code.UNKNOWN, Code.NOT_CONNECTED]);
    assert.equal(clock.pending, 0);
  });

  it('where the user has another name, the client has ended', async () => {
    const a = await join({ user: '1@anonymous' });
    a.end();
    await back({ user: '2@anonymous' });
    heard('reconnecting', 'disconnected', 'end: renamed');
  });

  it('is tried again at once when the network is back', async (t) => {
    const network = new EventTarget();
    for (const name of ['addEventListener', 'removeEventListener']) globalThis[name] = network[name].bind(network);
    t.after(() => { delete globalThis.addEventListener; delete globalThis.removeEventListener; });
    const a = await join();
    a.end();
    for (const attempt of ['the first', 'and no other while it lasts']) {
      network.dispatchEvent(new Event('online'));
      await settle();
      assert.equal(sockets.all.length, 2, attempt);
    }
    sockets.last.welcome();
    network.dispatchEvent(new Event('online'));
    assert.deepEqual(sockets.last.saw(), ['ping']);
    await client.disconnect();
    network.dispatchEvent(new Event('online'));
    assert.equal(sockets.all.length, 2);
  });
});

describe('renewal', () => {
  /** Lets the time pass until the renewal is due, on a connection that lives. */
  const alive = async (a) => {
    for (let t = 0; t < DEFAULTS.renewAfter - MINUTE; t += MINUTE) {
      await clock.pass(MINUTE / 2);
      a.say({ type: 'pong' });
      await clock.pass(MINUTE / 2);
      a.say({ type: 'pong' });
    }
    await clock.pass(MINUTE / 2);
    a.say({ type: 'pong' });
    await clock.pass(MINUTE / 2);
    a.saw();
    told.length = 0;
    return [a, sockets.last];
  };

  it('comes before the two hours are over, and takes over without a gap', async () => {
    const [a, b] = await alive(await join());
    assert.equal(sockets.all.length, 2);
    assert.ok(clock.now() < 120 * MINUTE);
    assert.deepEqual([b.query.resume, b.query.first], ['c1', '1']);
    const one = send();
    await settle();
    assert.deepEqual(a.saw(), [1], 'until then the old one is used');
    b.welcome({ seq: 2 });
    await settle();
    assert.deepEqual(b.saw(), [1]);
    b.say(message(3));
    a.say(message(1));
    a.say(message(2));
    heard('bob: m1', 'bob: m2', 'bob: m3');
    a.say({ type: 'error', id: 1, code: 2120, message: 'x' });
    a.say({ type: 'superseded' });
    a.end(1000);
    heard();
    b.say({ type: 'ack', id: 1 });
    assert.equal(await one, 'ok');
    assert.equal(client.state, 'connected');
  });

  it('before an attempt has begun it was not', async () => {
    begin();
    const user = client.connect({ ...LOGIN, token: () => (sockets.last ? new Promise(() => {}) : 'alice') });
    await settle();
    sockets.last.welcome();
    await user;
    const [a] = await alive(sockets.last);
    a.say({ type: 'superseded' });
    heard('disconnected', 'end: superseded');
  });

  it('another may take over from both', async () => {
    const [, b] = await alive(await join());
    b.greet();
    b.say({ type: 'superseded' });
    heard('disconnected', 'end: superseded');
  });

  it('a connection that is lost meanwhile is lost', async () => {
    const [a, b] = await alive(await join());
    a.end();
    heard('reconnecting');
    b.welcome();
    heard('connected');
  });

  it('the old one is not kept for long', async () => {
    const [a, b] = await alive(await join());
    b.welcome({ seq: 2 });
    b.say(message(3));
    await clock.pass(DEFAULTS.gapWait);
    heard('gap 1-2', 'bob: m3');
    await clock.pass(DEFAULTS.retireAfter);
    assert.equal(a.readyState, 2);
  });

  it('nothing of the old one is left after the end', async () => {
    const [a, b] = await alive(await join());
    b.welcome();
    await client.disconnect();
    assert.equal(a.readyState, 2);
    assert.equal(clock.pending, 0);
  });

  it('may be turned off', async () => {
    begin({ renewAfter: Infinity });
    const a = await join();
    await alive(a);
    assert.equal(sockets.all.length, 1);
  });
});

describe('presence', () => {
  it('is asked', async () => {
    const a = await join();
    const both = Promise.all([client.presence('bob'), client.presence('bob'), client.presence('eve')]);
    assert.deepEqual(a.sent.map(({ type, user }) => `${type} ${user}`), ['presence bob', 'presence bob', 'presence eve']);
    a.say({ type: 'presence', user: 'eve', online: false });
    a.say({ type: 'presence', user: 'bob', online: true });
    assert.deepEqual(await both, [true, true, false]);
    a.say({ type: 'presence', user: 'bob', online: true });
    a.say({ type: 'presence', user: 'nobody', online: true });
  });

  it('nobody answers in vain', async () => {
    begin({ deadAfter: MINUTE });
    assert.equal(await outcome(client.presence('bob')), Code.NOT_CONNECTED);
    const a = await join();
    const late = outcome(client.presence('bob'));
    await clock.pass(DEFAULTS.ackTimeout);
    assert.equal(await late, Code.UNAVAILABLE);
    const lost = outcome(client.presence('bob'));
    a.end();
    assert.equal(await lost, Code.NOT_CONNECTED);
  });
});

describe('disconnect', () => {
  it('says goodbye', async () => {
    const a = await join();
    await client.disconnect();
    assert.deepEqual(a.saw(), ['leave']);
    assert.equal(a.closedWith, 1000);
    heard('disconnected', 'end: left');
    assert.equal(clock.pending, 0);
    await client.disconnect();
    heard();
  });

  it('lets what was sent be answered first', async () => {
    const a = await join();
    const one = send();
    const left = client.disconnect();
    assert.equal(client.disconnect(), left);
    assert.equal(await send(), Code.NOT_CONNECTED);
    await clock.pass(100);
    heard();
    a.say({ type: 'ack', id: 1 });
    await clock.pass(100);
    await left;
    assert.equal(await one, 'ok');
    assert.deepEqual(a.saw(), [1, 'leave']);
    heard('disconnected', 'end: left');
  });

  it('but not for long', async () => {
    await join();
    const one = send();
    const left = client.disconnect();
    await clock.pass(DEFAULTS.farewell);
    await left;
    assert.equal(await one, Code.UNKNOWN);
    heard('disconnected', 'end: left');
  });

  it('nor on a connection that was lost', async () => {
    const a = await join();
    send();
    const left = client.disconnect();
    a.end();
    await clock.pass(100);
    await left;
    heard('reconnecting', 'disconnected', 'end: left');
    assert.equal(clock.pending, 0);
  });

  it('while connecting', async () => {
    const user = outcome(client.connect(LOGIN));
    await settle();
    await client.disconnect();
    assert.equal(await user, Code.CLOSED);
    assert.equal(sockets.last.readyState, 2);
    sockets.last.onmessage({ data: '{"type":"welcome","user":"alice"}' });
    heard('connecting', 'disconnected', 'end: left');
    assert.equal(clock.pending, 0);
  });

  it('from within a handler', async () => {
    const a = await join();
    client.onMessage = (_, text) => { told.push(text); client.disconnect(); };
    a.say(message(3));
    a.say(message(2));
    a.say(message(1));
    heard('m1', 'm2', 'm3', 'disconnected', 'end: left');
  });

  it('an end that comes while it waits is the end', async () => {
    const a = await join();
    send();
    const left = client.disconnect();
    a.say({ type: 'superseded' });
    const user = client.connect(LOGIN);
    await settle();
    sockets.last.welcome();
    await user;
    await clock.pass(DEFAULTS.farewell);
    await left;
    assert.equal(client.state, 'connected');
    heard('disconnected', 'end: superseded', 'connecting', 'connected');
  });
});

it('every frame can be watched', async () => {
  const seen = [];
  client.onFrame = ({ direction, text, connection }) => seen.push([direction, JSON.parse(text).type, connection]);
  const a = await join();
  send();
  await settle();
  a.say({ type: 'ack', id: 1 });
  assert.deepEqual(seen, [['in', 'open', undefined], ['in', 'welcome', 'c1'], ['out', 'message', 'c1'], ['in', 'ack', 'c1']]);
});
