import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Code, DEFAULTS, SignalingClient } from '../index.js';
import { Clock, settle } from './clock.js';
import { Sockets } from './sockets.js';

const LOGIN = { url: 'https://example.com', token: 'alice' };
let clock, sockets, client, told;

beforeEach(async () => {
  clock = new Clock();
  sockets = new Sockets();
  told = [];
  client = new SignalingClient({ WebSocket: sockets.WebSocket, clock, random: () => 1 });
  client.onPresence = ({ user, online, error }) => told.push(error ? `${user}: ${error.code}` : `${user}: ${online}`);
});

async function join({ maxWatched = 64, ...more } = {}) {
  const user = client.connect(LOGIN);
  await settle();
  sockets.last.welcome({ maxWatched, ...more });
  await user;
  return sockets.last;
}

const heard = (...expected) => assert.deepEqual(told.splice(0), expected);
const is = (online, at, user = 'bob') => ({ type: 'presence', user, online, watched: true, at });
const sent = (socket) => socket.sent.splice(0).map(({ type, user }) => (user ? `${type} ${user}` : type));

/** Looks at a watch; returns what it has seen, and how it ended. */
function look(watch) {
  const seen = [];
  (async () => {
    for await (const { user, online } of watch) seen.push(`${user}: ${online}`);
    seen.push('end');
  })().catch((error) => seen.push(error.code));
  return seen;
}

describe('a watch', () => {
  it('tells the state, and each change once and in order', async () => {
    const a = await join();
    const watch = client.watch('bob');
    const seen = look(watch);
    assert.deepEqual(sent(a), ['watch bob']);
    assert.equal(watch.online, undefined);
    for (const event of [is(false, 1), is(true, 3), is(false, 2), is(true, 3), is(false, 4)]) {
      a.say(event);
      await settle();
    }
    heard('bob: false', 'bob: true', 'bob: false');
    assert.deepEqual(seen, ['bob: false', 'bob: true', 'bob: false']);
    a.say(is(true, 1, 'nobody'));
    heard();
    client.unwatch('bob');
    await settle();
    assert.deepEqual(seen.at(-1), 'end');
    assert.deepEqual(sent(a), ['unwatch bob']);
    a.say({ type: 'presence', user: 'bob', watched: false });
    a.say(is(true, 9));
    heard();
    await clock.pass(20_000);
    assert.deepEqual(sent(a), []);
  });

  it('shows who is slow to look the latest state alone', async () => {
    const a = await join();
    const watch = client.watch('bob');
    for (let at = 1; at <= 3; at++) a.say(is(at % 2 === 0, at));
    assert.deepEqual(await watch.next(), { value: { user: 'bob', online: false }, done: false });
    const next = watch.next();
    a.say(is(true, 4));
    assert.equal((await next).value.online, true);
  });

  it('of the same user twice is one for the server, until the last is left', async () => {
    const a = await join();
    const one = client.watch('bob');
    a.say(is(true, 1));
    const controller = new AbortController();
    const two = client.watch('bob', controller);
    assert.equal(two.online, true);
    assert.deepEqual(sent(a), ['watch bob']);
    for await (const { online } of one) {
      assert.equal(online, true);
      break;
    }
    assert.deepEqual(sent(a), []);
    controller.abort();
    assert.deepEqual(sent(a), ['unwatch bob']);
  });

  it('is asked for again until it is answered', async () => {
    const a = await join();
    client.watch('bob');
    await clock.pass(DEFAULTS.ackTimeout);
    assert.deepEqual(sent(a), ['watch bob', 'watch bob']);
    a.say(is(true, 1));
    await clock.pass(20_000);
    assert.deepEqual(sent(a), []);
  });

  it('goes on with the next connection, which tells what has changed', async () => {
    const a = await join();
    const seen = look(client.watch('bob'));
    a.say(is(true, 5));
    a.end();
    client.watch('eve');
    await clock.pass(DEFAULTS.reconnectFirst);
    const b = sockets.last;
    b.welcome({ maxWatched: 64 });
    assert.deepEqual(sent(b), ['watch bob', 'watch eve']);
    b.say(is(true, 5));
    heard('bob: true');
    b.say(is(false, 6));
    heard('bob: false');
    await settle();
    assert.deepEqual(seen, ['bob: true', 'bob: false']);
    await client.disconnect();
    await settle();
    assert.deepEqual(seen.at(-1), 'end');
    assert.equal(clock.pending, 0);
  });

  it('that is refused ends with the code', async () => {
    const a = await join();
    const seen = look(client.watch('bob'));
    a.say({ type: 'error', code: Code.UNAUTHENTICATED, message: 'not allowed', user: 'bob' });
    await settle();
    heard('bob: 2120');
    assert.deepEqual(seen, [Code.UNAUTHENTICATED]);
    await clock.pass(20_000);
    assert.deepEqual(sent(a), ['watch bob']);
  });

  it('is refused where the server knows nothing of it, or there is none', async () => {
    assert.throws(() => client.watch('bob'), ({ code }) => code === Code.NOT_CONNECTED);
    const a = await join({ maxWatched: 0 });
    const seen = look(client.watch('bob'));
    await settle();
    heard('bob: 2103');
    assert.deepEqual(sent(a), []);
    assert.deepEqual(seen, [Code.UNSUPPORTED]);
  });

  it('ends with the client', async () => {
    const a = await join();
    const seen = look(client.watch('bob'));
    a.say({ type: 'superseded' });
    await settle();
    assert.deepEqual(seen, [Code.CLOSED]);
    assert.equal(clock.pending, 0);
  });
});

describe('ICE servers', () => {
  const turn = (n) => [{ urls: ['turn:turn.example.com'], username: `u${n}`, credential: 'c' }];

  it('there are none where none are told of', async () => {
    const a = await join();
    await clock.pass(10);
    assert.deepEqual(await client.iceServers(), []);
    assert.deepEqual(a.saw(), []);
  });

  it('come with the welcome, and are asked for when half of their time is over', async () => {
    const a = await join({ iceServers: turn(1), iceExpires: 100 });
    const servers = await client.iceServers();
    assert.deepEqual(servers, turn(1));
    servers[0].username = 'mine';
    await clock.pass(50_000);
    assert.deepEqual(await client.iceServers(), turn(1));
    assert.deepEqual(a.saw(), []);
    await clock.pass(1);
    const both = Promise.all([client.iceServers(), client.iceServers()]);
    assert.deepEqual(a.saw(), ['ice'], 'once');
    a.say({ type: 'ice', iceServers: turn(2), iceExpires: 100 });
    assert.deepEqual(await both, [turn(2), turn(2)]);
    assert.deepEqual(await client.iceServers(), turn(2));
    assert.deepEqual(a.saw(), []);
  });

  it('that are still good will do where there is no answer, and others not', async () => {
    const a = await join({ iceServers: turn(1), iceExpires: 100 });
    for (const [ms, end] of [[55_000, turn(1)], [50_000, Code.UNAVAILABLE]]) {
      await clock.pass(ms - 1000);
      a.say({ type: 'pong' });
      await clock.pass(1000);
      const servers = client.iceServers().catch(({ code }) => code);
      await clock.pass(DEFAULTS.ackTimeout);
      a.say({ type: 'pong' });
      assert.deepEqual(await servers, end);
    }
    a.end();
    const later = client.iceServers();
    await clock.pass(DEFAULTS.reconnectFirst);
    sockets.last.welcome({ iceServers: turn(3), iceExpires: 100 });
    assert.deepEqual(await later, turn(3));
  });

  it('are not to be had where there is no connection to come', async () => {
    await assert.rejects(client.iceServers(), ({ code }) => code === Code.NOT_CONNECTED);
  });
});
