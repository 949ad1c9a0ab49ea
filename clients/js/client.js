import { address, withQuery } from './address.js';
import { checkData, checkMembers, checkName, checkToken } from './arguments.js';
import { Backoff } from './backoff.js';
import { Code, isFinal, SignalError } from './codes.js';
import { Connection, subprotocols } from './connection.js';
import { Grace } from './grace.js';
import { IceServers } from './ice.js';
import { Inbox } from './inbox.js';
import { settingsOf } from './options.js';
import { Outbox } from './outbox.js';
import { Presence } from './presence.js';
import { findWebSocket } from './websocket.js';

/** The handler of each event. */
const HANDLERS = {
  message: 'onMessage', statechange: 'onStateChange', retry: 'onRetry', gap: 'onGap', presence: 'onPresence', end: 'onEnd', frame: 'onFrame',
};

/**
 * A client of owt.signal.v1 that outlives its connections.
 *
 * Of its connections one is *current*: the last that was welcomed; what is sent goes there. Another may be on its *way*,
 * to replace one that was lost or is getting old. Those that were replaced while they lived are *retired*: what had been
 * routed to them still comes, until the server closes them.
 */
export class SignalingClient extends EventTarget {
  onMessage = null;
  onStateChange = null;
  onRetry = null;
  onGap = null;
  onPresence = null;
  onEnd = null;
  onFrame = null;

  #settings;
  #session = newSession();
  #outbox;
  #inbox;
  #backoff;
  #presence;
  #ice;

  #state = 'disconnected';
  #login; // {url, token}
  #user;
  #waiting = []; // promises of those who wait until it is connected
  #stopping = false;
  #leaving; // the promise of disconnect, while there is something to wait for

  #current;
  #resume; // the server's name of the last current connection
  #welcomeAt;
  #way; // the attempt to connect; undefined: none
  #retired = new Map(); // each with the timer by which it is given up
  #again; // timer of the next attempt

  /** @param {object} [options] see index.d.ts */
  constructor(options = {}) {
    super();
    const settings = settingsOf(options);
    this.#settings = settings;
    const { clock, reconnectFirst: first, reconnectMost: most, reconnectAttempts: attempts, random } = settings;
    this.#backoff = new Backoff({ first, most, attempts, random });
    this.#outbox = new Outbox(settings);
    this.#inbox = new Inbox({
      ...settings,
      deliver: ({ from, data }) => this.#tell('message', { from, data }, from, data),
      gap: (gap) => this.#tell('gap', gap),
      ask: (range) => this.#current?.send(JSON.stringify({ type: 'recover', ...range })),
    });
    this.#presence = new Presence({ clock, ackTimeout: settings.ackTimeout, tell: (event) => this.#tell('presence', event) });
    this.#ice = new IceServers(settings);
  }

  /** 'disconnected', 'connecting', 'connected' or 'reconnecting'. */
  get state() {
    return this.#state;
  }

  /** The user's name, once the server has told it. */
  get user() {
    return this.#state === 'disconnected' ? undefined : this.#user;
  }

  /** Resolves with the user's name when there is a connection, at once if there is. Rejects if there will be none. */
  get ready() {
    if (this.#state === 'connected') return Promise.resolve(this.#user);
    if (this.#state === 'disconnected') return Promise.reject(new SignalError(Code.NOT_CONNECTED));
    return new Promise((resolve, reject) => { this.#waiting.push({ resolve, reject }); });
  }

  /** Resolves with the user's name. Rejects at once if the first attempt fails, unless `retryFirst` is set. */
  async connect(login) {
    checkMembers('what connect is given', login, ['url', 'host', 'token', 'signal']);
    const { url, host, token, signal } = login;
    checkToken(token);
    const where = address(url ?? host);
    if (this.#state !== 'disconnected') throw new SignalError(Code.INVALID_STATE);
    signal?.throwIfAborted();
    this.#login = { url: where, token };
    this.#user = undefined;
    this.#inbox.reset();
    this.#backoff.ended(true);
    globalThis.addEventListener?.('online', this.#online);
    this.#change('connecting');
    const connected = this.ready;
    this.#attempt();
    const abort = () => this.#state === 'connecting' && this.#stop({ reason: 'left' }, signal.reason);
    return whileListening(signal, abort, connected);
  }

  /** Resolves when the message was accepted for the receiver. */
  async send(to, data, { signal } = {}) {
    checkName('the receiver', to);
    const text = checkData(data);
    signal?.throwIfAborted();
    if (this.#state === 'disconnected' || this.#leaving) throw new SignalError(Code.NOT_CONNECTED);
    const { answered, withdraw } = this.#outbox.add(to, text);
    return orAborted(signal, withdraw, answered.catch((code) => { throw new SignalError(code); }));
  }

  /** Whether a user is online. */
  async presence(user, { signal } = {}) {
    checkName('user', user);
    signal?.throwIfAborted();
    return orAborted(signal, () => {}, this.#presence.ask(user));
  }

  /** Watches whether a user is online: returns what can be iterated, and tells it by events. */
  watch(user, { signal } = {}) {
    checkName('user', user);
    signal?.throwIfAborted();
    if (this.#state === 'disconnected') throw new SignalError(Code.NOT_CONNECTED);
    const watch = this.#presence.watch(user);
    signal?.addEventListener('abort', () => watch.stop(), { once: true });
    return watch;
  }

  /** Ends all watches of a user. */
  unwatch(user) {
    checkName('user', user);
    this.#presence.unwatch(user);
  }

  /** The STUN and TURN servers that the operator offers, with credentials that are good for a while. */
  async iceServers() {
    if (!this.#current && !(this.#state === 'reconnecting' && this.#ice.valid)) await this.ready;
    if (this.#current && !this.#ice.fresh) {
      await this.#ice.ask(this.#current).catch((error) => { if (!this.#ice.valid) throw error; });
    }
    return this.#ice.servers;
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

  /**
   * Opens a connection, to take over from the one there is, if there is one. Finds a WebSocket and a token first, for
   * which there is as much time as for the connection.
   */
  async #attempt() {
    const { clock, connectTimeout } = this.#settings;
    const { token } = this.#login;
    clock.clearTimeout(this.#again);
    const way = {};
    this.#way = way;
    way.timer = clock.setTimeout(() => this.#failed(new SignalError(Code.UNAUTHENTICATED, `the token function took more than ${connectTimeout} ms`)), connectTimeout);
    await undefined; // whoever leaves at once, as in React's StrictMode, has opened nothing
    try {
      const WebSocket = this.#settings.WebSocket ?? globalThis.WebSocket ?? await findWebSocket();
      const fresh = typeof token === 'function' ? await freshToken(token) : token;
      if (this.#way === way) this.#dial(way, WebSocket, fresh);
    } catch (error) {
      if (this.#way !== way) return;
      if (error.code === Code.NO_WEBSOCKET) this.#stop({ reason: 'refused' }, error);
      else this.#failed(error);
    }
  }

  #dial(way, WebSocket, token) {
    this.#settings.clock.clearTimeout(way.timer);
    way.first = this.#outbox.first;
    const url = withQuery(this.#login.url, {
      session: this.#session, resume: this.#resume, first: way.first, batch: 1, recover: 1, ...this.#inbox.position,
    });
    let socket;
    try {
      socket = new WebSocket(url, subprotocols(token));
    } catch (cause) { // not from here, says the browser: no ws from a page that came by https
      this.#stop({ reason: 'refused' }, new SignalError(Code.ILLEGAL_ARGUMENT, `the address cannot be opened from here: ${cause.message}`, { cause }));
      return;
    }
    const connection = new Connection(socket, this.#settings, {
      welcome: (frame) => this.#welcomed(way, frame),
      message: (frame) => this.#inbox.receive(frame, connection.welcome),
      replayed: (frame) => connection === this.#current && this.#inbox.replayed(frame),
      answer: (number, code) => this.#outbox.answered(number, code, connection === this.#current),
      stored: (number) => connection === this.#current && this.#outbox.stored(number),
      presence: (frame) => this.#presence.hear(connection, frame),
      ice: (frame) => this.#ice.take(frame),
      superseded: () => this.#superseded(connection),
      refused: (error) => this.#refused(connection, error),
      closed: (error) => this.#closed(connection, error),
      frame: (direction, text, id) => this.#tell('frame', { direction, text, connection: id }),
    });
    way.connection = connection;
  }

  #welcomed(way, frame) {
    const { user, resumed } = frame;
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
    this.#presence.attach(connection);
    this.#ice.take(frame);
    const receivers = back ? this.#outbox.receivers : new Set();
    this.#outbox.attach({
      post: (text, bytes) => connection.post(text, bytes),
      maxInFlight: connection.maxInFlight,
    }, {
      resumed,
      first,
      grace: receivers.size > 0 ? new Grace({
        clock, receivers, ms: grace, presence: (name) => this.#presence.ask(name), changed: () => this.#outbox.resume(),
      }) : undefined,
    });
    this.#change('connected');
    for (const { resolve } of this.#waiting.splice(0)) resolve(user);
    this.#inbox.welcome(frame, this.#retired.size === 0);
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
  #refused(connection, error) {
    if (this.#retired.has(connection) || !isFinal(error.code)) return; // the end follows, and another attempt
    if (connection.welcome && error.code === Code.WRONG_TOKEN && typeof this.#login.token === 'function') this.#abandon(connection, error);
    else this.#stop({ reason: 'refused' }, error);
  }

  /** @param {SignalError} error why it has ended */
  #closed(connection, error) {
    if (this.#retired.has(connection)) {
      this.#retire(connection);
    } else if (connection === this.#current) {
      this.#lost();
      if (!this.#way) this.#failed(error);
      else if (!this.#way.doubtful) this.#change('reconnecting');
    } else if (connection === this.#way?.connection) {
      this.#inbox.unwelcome();
      if (this.#way.doubtful && connection.id === undefined) this.#stop({ reason: 'superseded' });
      else this.#failed(error);
    }
  }

  /** Gives up a connection that is of no more use. */
  #abandon(connection, error) {
    connection.drop();
    this.#closed(connection, error);
  }

  #retire(connection) {
    connection.drop();
    this.#settings.clock.clearTimeout(this.#retired.get(connection));
    this.#retired.delete(connection);
    this.#forget(connection);
    if (this.#retired.size === 0) this.#inbox.alone();
  }

  /** Whether the current connection has been up for long enough. */
  get #lasted() {
    return this.#settings.clock.now() - this.#welcomeAt >= this.#settings.stableAfter;
  }

  #lost() {
    this.#settings.clock.clearTimeout(this.#again);
    this.#forget(this.#current);
    this.#current = undefined;
    this.#outbox.detach();
    this.#inbox.disconnected();
    this.#backoff.ended(this.#lasted);
  }

  /**
   * There will be another attempt, unless it was the first or there have been enough. The connection that there is may still be
   * good.
   *
   * @param {SignalError} error why there is to be another
   */
  #failed(error) {
    this.#settings.clock.clearTimeout(this.#way?.timer);
    this.#way = undefined;
    if (!this.#current && this.#state === 'connected') this.#change('reconnecting');
    const only = this.#state === 'connecting' && !this.#settings.retryFirst;
    const pause = only ? undefined : this.#backoff.next() ?? (this.#current && this.#settings.reconnectMost);
    if (pause === undefined) {
      this.#stop({ reason: 'unreachable' }, error);
      return;
    }
    this.#again = this.#settings.clock.setTimeout(() => this.#attempt(), pause);
    if (!this.#current) this.#tell('retry', { attempt: this.#backoff.attempt, delay: pause, reason: error });
  }

  /** The network is back, or so the browser says. */
  #online = () => {
    if (this.#current) this.#current.probe();
    else if (!this.#way) this.#attempt();
  };

  /**
   * @param {{reason: string}} why as onEnd is told
   * @param {Error} [error] what is wrong; none: nothing is
   */
  #stop(why, error) {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#inbox.unwelcome();
    this.#inbox.flush();
    this.#inbox.disconnected();
    this.#settings.clock.clearTimeout(this.#again);
    this.#settings.clock.clearTimeout(this.#way?.timer);
    globalThis.removeEventListener?.('online', this.#online);
    if (why.reason === 'left') this.#current?.leave();
    else this.#current?.drop();
    this.#way?.connection?.drop();
    for (const connection of [...this.#retired.keys()]) this.#retire(connection);
    this.#forget(this.#current);
    this.#current = this.#way = undefined;
    this.#outbox.stop();
    const end = error instanceof SignalError ? { ...why, code: error.code, error } : why;
    const closed = error ?? new SignalError(Code.CLOSED, CLOSED[why.reason]);
    this.#presence.end(why.reason === 'left' ? undefined : closed);
    const waiting = this.#waiting.splice(0);
    this.#leaving = undefined;
    this.#stopping = false;
    this.#change('disconnected', end);
    this.#tell('end', end);
    for (const { reject } of waiting) reject(closed);
  }

  /** A connection answers no question any more. */
  #forget(connection) {
    this.#presence.forget(connection);
    this.#ice.forget(connection);
  }

  #change(state, end) {
    if (this.#state === state) return;
    this.#state = state;
    this.#tell('statechange', { state, end }, state, end);
  }

  /** Calls a handler, and tells the listeners. What they throw is not this client's to deal with, and must not stop it. */
  #tell(type, detail, ...args) {
    try {
      this[HANDLERS[type]]?.(...(args.length > 0 ? args : [detail]));
    } catch (error) {
      queueMicrotask(() => { throw error; });
    }
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What those are told who wait for a client that has ended though nothing went wrong. */
const CLOSED = {
  left: 'the client was closed',
  superseded: 'another device, or another tab, has connected under the same name',
  renamed: 'the server gave the user another name than before',
};

/** What a function brings as token. */
async function freshToken(token) {
  let fresh;
  try {
    fresh = await token();
  } catch (cause) {
    throw new SignalError(Code.UNAUTHENTICATED, `the token function failed: ${cause?.message ?? cause}`, { cause });
  }
  if (typeof fresh !== 'string' || fresh === '') {
    throw new SignalError(Code.UNAUTHENTICATED, `the token function brought ${fresh === '' ? 'an empty text' : `${fresh}, no text`}`);
  }
  return fresh;
}

/** A promise, until which `act` is done if the signal says so. */
async function whileListening(signal, act, promise) {
  signal?.addEventListener('abort', act);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', act);
  }
}

/** A promise that is rejected if the signal says so; then `act` is done. */
function orAborted(signal, act, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    whileListening(signal, () => { act(); reject(signal.reason); }, promise).then(resolve, reject);
  });
}

/** A name that no other session has. (randomUUID is not there for pages without TLS.) */
function newSession() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
