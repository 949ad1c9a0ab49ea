import { address, withQuery } from './address.js';
import { Backoff } from './backoff.js';
import { systemClock } from './clock.js';
import { Code, isFinal } from './codes.js';
import { Connection, subprotocols } from './connection.js';
import { Grace } from './grace.js';
import { Inbox } from './inbox.js';
import { Outbox } from './outbox.js';

/** What can be set; times in ms. index.d.ts says what it means, ../SPEC.md why it is so. */
export const DEFAULTS = Object.freeze({
  connectTimeout: 10_000,
  heartbeat: 60_000,
  deadAfter: 6_000,
  ackTimeout: 2_000,
  maxQueued: 4096,
  reconnectFirst: 500,
  reconnectMost: 15_000,
  reconnectAttempts: 10,
  stableAfter: 5_000,
  renewAfter: 110 * 60_000,
  retireAfter: 10_000,
  gapWait: 3_000,
  grace: 20_000,
  farewell: 1_000,
});

/**
 * OWT's SignalingChannel over owt.signal.v1: what P2PClient of OWT's JavaScript SDK is given. It outlives its
 * connections.
 *
 * Of its connections one is *current*: the last that was welcomed; what is sent goes there. Another may be on its *way*,
 * to replace one that was lost or is getting old. Those that were replaced while they lived are *retired*: what had been
 * routed to them still comes, until the server closes them.
 */
export class SignalingChannel {
  onMessage = null;
  onServerDisconnected = null;
  onStateChange = null;
  onGap = null;
  onFrame = null;

  #settings;
  #session = newSession();
  #outbox;
  #inbox;
  #backoff;
  #questions = new Set(); // for presence, each with the connection on which it was asked

  #state = 'disconnected';
  #login; // {url, token}
  #user;
  #connecting; // the promise of connect
  #stopping = false;
  #leaving; // the promise of disconnect, while there is something to wait for

  #current;
  #resume; // the server's name of the last current connection
  #welcomeAt;
  #way; // the attempt to connect; undefined: none
  #retired = new Map(); // each with the timer by which it is given up
  #again; // timer of the next attempt

  /** @param {object} [options] {@link DEFAULTS}, and WebSocket, clock, random */
  constructor(options = {}) {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    const settings = { clock: systemClock, random: Math.random, WebSocket: globalThis.WebSocket, ...DEFAULTS, ...given };
    this.#settings = settings;
    const { clock, reconnectFirst: first, reconnectMost: most, reconnectAttempts: attempts, random } = settings;
    this.#backoff = new Backoff({ first, most, attempts, random });
    this.#outbox = new Outbox(settings);
    this.#inbox = new Inbox({
      clock,
      gapWait: settings.gapWait,
      deliver: ({ from, data }) => this.#tell('onMessage', from, data),
      gap: (gap) => this.#tell('onGap', gap),
    });
  }

  /** 'disconnected', 'connecting', 'connected' or 'reconnecting'. */
  get state() {
    return this.#state;
  }

  /** Resolves with the user's name, or rejects with a code. */
  connect(loginInfo) {
    if (this.#state !== 'disconnected') return Promise.reject(Code.INVALID_STATE);
    if (!this.#settings.WebSocket) return Promise.reject(Code.NO_WEBSOCKET);
    try {
      this.#login = { url: address(loginInfo.url ?? loginInfo.host), token: loginInfo.token };
    } catch {
      return Promise.reject(Code.ILLEGAL_ARGUMENT);
    }
    this.#user = undefined;
    this.#inbox.reset();
    this.#backoff.ended(true);
    globalThis.addEventListener?.('online', this.#online);
    this.#change('connecting');
    return new Promise((resolve, reject) => {
      this.#connecting = { resolve, reject };
      this.#attempt();
    });
  }

  /** Resolves when the message was accepted for the receiver's live connection. Rejects with a code. */
  send(targetId, message) {
    if (this.#state === 'disconnected' || this.#leaving) return Promise.reject(Code.NOT_CONNECTED);
    return this.#outbox.add(targetId, message);
  }

  /** Whether a user is online. Rejects with a code. */
  presence(user) {
    if (!this.#current) return Promise.reject(Code.NOT_CONNECTED);
    return new Promise((resolve, reject) => {
      const { clock, ackTimeout } = this.#settings;
      const end = (act, how) => {
        this.#questions.delete(question);
        clock.clearTimeout(timer);
        act(how);
      };
      const timer = clock.setTimeout(() => end(reject, Code.UNAVAILABLE), ackTimeout);
      const question = {
        user: String(user),
        on: this.#current,
        answer: (online) => end(resolve, online),
        fail: () => end(reject, Code.NOT_CONNECTED),
      };
      this.#questions.add(question);
      this.#current.send(JSON.stringify({ type: 'presence', user: question.user }));
    });
  }

  /** Leaves the server, once it has answered what was sent, but soon. */
  disconnect() {
    if (this.#leaving) return this.#leaving;
    if (this.#state === 'disconnected') return Promise.resolve();
    if (!this.#current || this.#outbox.empty) {
      this.#stop({ reason: 'left' });
      return Promise.resolve();
    }
    const { clock, farewell } = this.#settings;
    const end = clock.now() + farewell;
    const leaving = new Promise((resolve) => {
      const look = () => {
        if (this.#leaving === leaving) {
          if (this.#current && !this.#outbox.empty && clock.now() < end) {
            clock.setTimeout(look, farewell / 50);
            return;
          }
          this.#stop({ reason: 'left' });
        }
        resolve();
      };
      clock.setTimeout(look, farewell / 50);
    });
    this.#leaving = leaving;
    return this.#leaving;
  }

  /** Opens a connection, to take over from the one there is, if there is one. */
  #attempt() {
    this.#settings.clock.clearTimeout(this.#again);
    const way = { first: this.#outbox.first };
    this.#way = way;
    const { token } = this.#login;
    if (typeof token !== 'function') {
      this.#dial(way, token);
      return;
    }
    Promise.resolve().then(token).then(
      (fresh) => this.#way === way && this.#dial(way, fresh),
      () => this.#way === way && this.#failed(),
    );
  }

  #dial(way, token) {
    way.first = this.#outbox.first;
    const url = withQuery(this.#login.url, { session: this.#session, resume: this.#resume, first: way.first, batch: 1 });
    let socket;
    try {
      socket = new this.#settings.WebSocket(url, subprotocols(token));
    } catch { // not from here, says the browser: no ws from a page that came by https
      this.#stop({ reason: 'refused', code: Code.ILLEGAL_ARGUMENT });
      return;
    }
    const connection = new Connection(socket, this.#settings, {
      welcome: (frame) => this.#welcomed(way, frame),
      message: (frame) => this.#inbox.receive(frame, connection.welcome),
      answer: (number, code) => this.#outbox.answered(number, code, connection === this.#current),
      stored: (number) => connection === this.#current && this.#outbox.stored(number),
      presence: (user, online) => this.#answerPresence(connection, user, online),
      superseded: () => this.#superseded(connection),
      refused: (code) => this.#refused(connection, code),
      closed: () => this.#closed(connection),
      frame: (direction, text, id) => this.onFrame && this.#tell('onFrame', { direction, text, connection: id }),
    });
    way.connection = connection;
  }

  #welcomed(way, { user, epoch, seq, resumed }) {
    const { clock, renewAfter, retireAfter, random, grace } = this.#settings;
    const { connection, first } = way;
    if (this.#user !== undefined && this.#user !== user) { // an anonymous user has another name each time
      this.#stop({ reason: 'renamed' });
      return;
    }
    const before = this.#current;
    const back = this.#user !== undefined && !before && !way.doubtful;
    this.#backoff.welcomed();
    if (before) {
      this.#backoff.ended(this.#lasted);
      this.#retired.set(before, clock.setTimeout(() => this.#retire(before), retireAfter));
    }
    this.#way = undefined;
    this.#current = connection;
    this.#resume = connection.id;
    this.#user = user;
    this.#welcomeAt = clock.now();
    if (renewAfter < Infinity) this.#again = clock.setTimeout(() => this.#attempt(), renewAfter * (0.9 + random() / 10));
    const receivers = back ? this.#outbox.receivers : new Set();
    this.#outbox.attach({
      post: (text, bytes) => connection.post(text, bytes),
      maxInFlight: connection.maxInFlight,
    }, {
      resumed,
      first,
      grace: receivers.size > 0 ? new Grace({
        clock, receivers, ms: grace, presence: (name) => this.presence(name), changed: () => this.#outbox.resume(),
      }) : undefined,
    });
    this.#change('connected');
    this.#connecting?.resolve(user);
    this.#connecting = undefined;
    this.#inbox.welcome({ epoch, seq }, this.#retired.size === 0);
  }

  /**
   * Another connection has the name: this client's own, if there is one on its way, or another's. The server greets one
   * before it claims the name, but what it says on two sockets comes in any order: how the one on its way ends will tell.
   */
  #superseded(connection) {
    if (this.#retired.has(connection)) return;
    if (connection === this.#current && this.#way?.connection) this.#way.doubtful = true;
    else this.#stop({ reason: 'superseded' });
  }

  /** The server ends a connection. One that was welcome may have outlived its token, and the next brings a fresh one. */
  #refused(connection, code) {
    if (this.#retired.has(connection) || !isFinal(code)) return; // the end follows, and another attempt
    if (connection.welcome && code === Code.WRONG_TOKEN && typeof this.#login.token === 'function') this.#abandon(connection);
    else this.#stop({ reason: 'refused', code });
  }

  #closed(connection) {
    if (this.#retired.has(connection)) {
      this.#retire(connection);
    } else if (connection === this.#current) {
      this.#lost();
      if (!this.#way) this.#failed();
      else if (!this.#way.doubtful) this.#change('reconnecting');
    } else if (connection === this.#way?.connection) {
      this.#inbox.unwelcome();
      if (this.#way.doubtful && connection.id === undefined) this.#stop({ reason: 'superseded' });
      else this.#failed();
    }
  }

  /** Gives up a connection that is of no more use. */
  #abandon(connection) {
    connection.drop();
    this.#closed(connection);
  }

  #retire(connection) {
    connection.drop();
    this.#settings.clock.clearTimeout(this.#retired.get(connection));
    this.#retired.delete(connection);
    this.#forgetPresence(connection);
    if (this.#retired.size === 0) this.#inbox.alone();
  }

  /** Whether the current connection has been up for long enough. */
  get #lasted() {
    return this.#settings.clock.now() - this.#welcomeAt >= this.#settings.stableAfter;
  }

  #lost() {
    this.#settings.clock.clearTimeout(this.#again);
    this.#forgetPresence(this.#current);
    this.#current = undefined;
    this.#outbox.detach();
    this.#backoff.ended(this.#lasted);
  }

  /** There will be another attempt, unless there have been enough. The connection that there is may still be good. */
  #failed() {
    this.#way = undefined;
    if (!this.#current && this.#state === 'connected') this.#change('reconnecting');
    const pause = this.#backoff.next() ?? (this.#current && this.#settings.reconnectMost);
    if (pause === undefined) this.#stop({ reason: 'unreachable', code: Code.UNAVAILABLE });
    else this.#again = this.#settings.clock.setTimeout(() => this.#attempt(), pause);
  }

  /** The network is back, or so the browser says. */
  #online = () => {
    if (this.#current) this.#current.probe();
    else if (!this.#way) this.#attempt();
  };

  #stop(why) {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#inbox.unwelcome();
    this.#inbox.flush();
    this.#settings.clock.clearTimeout(this.#again);
    globalThis.removeEventListener?.('online', this.#online);
    if (why.reason === 'left') this.#current?.leave();
    else this.#current?.drop();
    this.#way?.connection?.drop();
    for (const connection of [...this.#retired.keys()]) this.#retire(connection);
    this.#forgetPresence(this.#current);
    this.#current = this.#way = undefined;
    this.#outbox.stop();
    const connecting = this.#connecting;
    this.#connecting = this.#leaving = undefined;
    this.#stopping = false;
    this.#change('disconnected', why);
    this.#tell('onServerDisconnected', why);
    connecting?.reject(why.code ?? Code.UNKNOWN);
  }

  /** A connection has told whether a user is online: to those who asked on it. */
  #answerPresence(connection, user, online) {
    for (const q of this.#questions) if (q.on === connection && q.user === user) q.answer(online);
  }

  /** A connection answers no question any more. */
  #forgetPresence(connection) {
    for (const q of this.#questions) if (q.on === connection) q.fail();
  }

  #change(state, why) {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell('onStateChange', state, why);
  }

  /** Calls a handler. What it throws is not this client's to deal with, and must not stop it. */
  #tell(handler, ...args) {
    try {
      this[handler]?.(...args);
    } catch (error) {
      queueMicrotask(() => { throw error; });
    }
  }
}

/** A name that no other session has. (randomUUID is not there for pages without TLS.) */
function newSession() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
