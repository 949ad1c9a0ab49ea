// What every client of owt.signal.v1 does: the files of ../../scenarios, whose README.md says what they mean.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { SignalingChannel } from '../index.js';
import { Clock, settle } from './clock.js';
import { Sockets } from './sockets.js';

const FOLDER = new URL('../../scenarios/', import.meta.url);
const STEPS = ['connect', 'send', 'sends', 'presence', 'disconnect', 'network', 'pass', 'welcome', 'says', 'lost', 'dials', 'sent', 'dropped', 'told'];

const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
assert.ok(files.length > 0, 'no scenarios');

describe('scenario', () => {
  for (const file of files) {
    it(file.replace(/\.json$/, ''), () => new Stage(JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))).play());
  }
});

/** Where a scenario is played: the client, its application, and the server. */
class Stage {
  clock = new Clock();
  sockets = new Sockets();
  seen = 0; // connections that the scenario has seen
  told = {};
  sends = 0;

  constructor({ options, random = 1, tokens, steps }) {
    this.steps = steps;
    this.token = tokens ? () => tokens.shift() : 'alice';
    this.channel = new SignalingChannel({
      reconnectAttempts: Infinity, ...options, WebSocket: this.sockets.WebSocket, clock: this.clock, random: () => random,
    });
    this.channel.onMessage = (from, data) => this.add('received', `${from}: ${data}`);
    this.channel.onGap = ({ epoch, first, last = '' }) => this.add('gaps', `${epoch} ${first}-${last}`);
    this.channel.onServerDisconnected = ({ reason, code }) => { this.told.ended = code ?? reason; };
  }

  async play() {
    for (const [i, step] of this.steps.entries()) {
      try {
        await this.do(step);
        await settle();
        this.expect(step);
      } catch (error) {
        error.message = `step ${i + 1}, ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    assert.deepEqual(this.told, {}, 'the application was told, too');
    assert.equal(this.sockets.all.length, this.seen, 'connections');
    for (const socket of this.sockets.all) assert.deepEqual(socket.sent, [], 'sent, too');
  }

  /** The connection that a step is about: the newest, unless it says. */
  on({ on = this.sockets.all.length }) {
    return this.sockets.all[on - 1];
  }

  /** What the application, the server, the network or the time does. */
  do(step) {
    const { on: _, ...rest } = step;
    const [kind] = Object.keys(rest);
    assert.ok(STEPS.includes(kind) && Object.keys(rest).length === 1, 'one thing is done in a step');
    const what = step[kind];
    switch (kind) {
      case 'connect':
        this.channel.connect({ host: 'ws://server/prod', token: this.token }).then((user) => { this.told.user = user; }, () => {});
        break;
      case 'send':
        this.answer('answers', ++this.sends, this.channel.send(...what));
        break;
      case 'sends':
        for (const message of what) this.answer('answers', ++this.sends, this.channel.send(...message));
        break;
      case 'presence':
        this.answer('presence', what, this.channel.presence(what));
        break;
      case 'disconnect':
        this.channel.disconnect();
        break;
      case 'network':
        this.sockets.down = what === 'down';
        break;
      case 'pass':
        return this.clock.pass(what);
      case 'welcome':
        this.on(step).welcome({ id: `c${this.sockets.all.length}`, resumed: this.sockets.all.length > 1, ...what, ...(what.connection && { id: what.connection }) });
        break;
      case 'says':
        for (const frame of what) this.on(step).say(frame);
        break;
      case 'lost':
        this.sockets.all[what - 1].end();
        break;
    }
    return undefined;
  }

  /** Compares what a step says with what has come of it. */
  expect({ dials, sent, dropped, told, ...step }) {
    if (dials) {
      assert.equal(this.sockets.all.length, ++this.seen, 'connections');
      const { query, protocols } = this.sockets.last;
      const token = Buffer.from(protocols[1].slice('owt.token.'.length), 'base64url').toString();
      const got = { resume: '', recover: '', epoch: '', since: '', ...query, token };
      assert.equal(got.session, this.sockets.all[0].query.session);
      for (const [name, want] of Object.entries(dials)) assert.equal(got[name], want, name);
    }
    if (sent) assert.deepEqual(this.on(step).sent.splice(0), sent);
    if (dropped) assert.equal(this.sockets.all[dropped - 1].readyState, 2, 'given up');
    if (told) {
      assert.deepEqual(this.told, told);
      this.told = {};
    }
  }

  /** Notes how a promise ends: by its value, or a code. */
  answer(kind, of, promise) {
    promise.then((value) => value ?? 'ok', (code) => code).then((end) => { this.told[kind] = { ...this.told[kind], [of]: end }; });
  }

  add(kind, what) {
    this.told[kind] = [...this.told[kind] ?? [], what];
  }
}
