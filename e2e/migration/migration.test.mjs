// The JavaScript of docs/migration.md does what it says, as it stands there.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import { WebSocket } from 'ws';

const SERVER = process.env.SERVER ?? 'http://127.0.0.1:8095';
const guide = await readFile(new URL('../../docs/migration.md', import.meta.url), 'utf8');

/** The program under a title: ```js title. */
function program(title) {
  if (title === 'as it is') return '';
  const [, text] = new RegExp(`\`\`\`js ${title}\n([^]*?)\`\`\``).exec(guide) ?? assert.fail(`no program ${title}`);
  return text;
}

/** The channel of a sample: the options it has, what the guide adds to them, and what it does then. */
class Channel {
  #io;
  #guide;

  constructor(io, guide) {
    this.#io = io;
    this.#guide = new Function('opts', guide);
  }

  open(query) {
    const opts = { query, reconnection: true, reconnectionAttempts: 10, 'force new connection': true };
    this.#guide(opts);
    this.socket = this.#io(SERVER, opts);
    this.message = new Promise((resolve) => this.socket.on('owt-message', ({ from, data }) => resolve([from, data])));
  }

  send(to, data) {
    return new Promise((resolve) => this.socket.emit('owt-message', { to, data }, (code) => resolve(code)));
  }

  /** Whether it polls. */
  get polls() {
    return this.socket.io.engine.transport.name !== 'websocket';
  }
}

/** SDK 4.x: the token is in the handshake's query. */
class Channel4 extends Channel {
  connect(token) {
    this.open(`clientType=Web&clientVersion=4.3.1&token=${encodeURIComponent(token)}`);
    return new Promise((resolve) => this.socket.on('server-authenticated', ({ uid }) => resolve(uid)));
  }
}

/** SDK 5.x: the token is in an event. */
class Channel5 extends Channel {
  connect(token) {
    this.open();
    return new Promise((resolve) => this.socket.on('connect', () => {
      this.socket.emit('authentication', { token }, ({ uid }) => resolve(uid));
    }));
  }
}

const within = (promise, what) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(reject, 30_000, new Error(`waited 30 s for ${what}`)).unref();
})]);

for (const [sdk, Sample, io, version] of [['4.x', Channel4, io2, '2.5.0'], ['5.x', Channel5, io3, '3.1.3']]) {
  describe(`SDK ${sdk} with socket.io-client ${version}`, () => {
    for (const title of ['as it is', 'on AWS']) {
      it(title, async (t) => {
        const [a, b] = ['a', 'b'].map((name) => `${name}, ${sdk} ${title}`);
        const [alice, bob] = [new Sample(io, program(title)), new Sample(io, program(title))];
        t.after(() => [alice, bob].forEach((c) => c.socket?.close()));
        assert.deepEqual(await within(Promise.all([alice.connect(a), bob.connect(b)]), 'the names'), [a, b]);
        assert.equal(alice.polls, false, 'the WebSocket has taken over');
        assert.equal(await within(alice.send(b, 'hello'), 'the ack'), undefined);
        assert.equal(await within(alice.send('nobody', 'hello'), 'the ack'), 2201, 'a number, as the SDK expects');
        assert.deepEqual(await within(bob.message, 'the message'), [a, 'hello']);
      });
    }
  });
}

describe('clients/js', () => {
  it('takes the place of sc.websocket.js', async (t) => {
    globalThis.WebSocket = WebSocket; // as browsers have it
    const channels = [];
    const Owt = { P2P: { P2PClient } };
    const run = async (name) => {
      const text = program('clients/js').replace(/^import { SignalingChannel } from 'owt-signal-client';$/m, '').replace("'alice'", JSON.stringify(name));
      const { SignalingChannel } = await import('../../clients/js/index.js');
      const AsyncFunction = (async () => {}).constructor;
      const p2p = await new AsyncFunction('Owt', 'SignalingChannel', 'serverAddress', 'rtcConfiguration', `${text}; return p2p`)(
        Owt, SignalingChannel, `${SERVER}/prod`, {});
      channels.push(p2p.signaling);
      return p2p;
    };
    t.after(() => channels.forEach((c) => c.disconnect()));
    const [alice, bob] = await within(Promise.all([run('alice, clients/js'), run('bob, clients/js')]), 'the names');
    const got = new Promise((resolve) => { bob.received = resolve; });
    await alice.signaling.send(bob.id, '{"type":"chat-closed"}');
    assert.deepEqual(await within(got, 'the message'), [alice.id, { type: 'chat-closed' }]);
  });
});

/** What P2PClient does with its channel (owt-client-javascript, src/sdk/p2p/p2pclient.js). */
function P2PClient(configuration, signaling) {
  assert.deepEqual(Object.keys(configuration), ['rtcConfiguration']);
  this.signaling = signaling;
  signaling.onMessage = (origin, message) => this.received?.([origin, JSON.parse(message)]);
  signaling.onServerDisconnected = () => {};
  this.connect = async (token) => {
    this.id = await signaling.connect(token);
  };
}
