// A client as OWT's SDKs are one, on any of the Socket.IO clients.

import { socketIO, TRANSPORTS } from './endpoint.mjs';
import { subprotocols } from './json.mjs';
import { Journal, within } from './wait.mjs';

const ACK = 3; // socket.io-protocol, packet types

/**
 * @typedef {object} Options
 * @property {string} endpoint
 * @property {boolean} [insecure] whether any certificate will do
 * @property {string} [token]
 * @property {'query'|'event'|'header'|'subprotocol'|'none'} [how] how it authenticates: by the handshake's query as SDKs
 *   up to 4.3.1 (generation A), by the event `authentication` as SDKs 5.x (generation B), by other parts of the handshake,
 *   or not at all
 * @property {Record<string, string>} [headers] of the handshake, more than it has
 * @property {string} [type] of client that it claims to be, with a version
 * @property {string} [version] which it claims to be; SDKs 5.x claim none
 */

export class SocketIOClient {
  /** What came from the server and from the client library. */
  journal = new Journal();
  /** Messages of other users. */
  inbox = new Journal();
  /** Acks that nobody was waiting for. */
  strays = [];
  /** Frames of the first connection, as they came. */
  frames = [];
  #acked = new Set();

  /** @param {Function} io @param {Options} options */
  constructor(io, { endpoint, insecure, token, headers, type = 'Web', how = 'event', version = how === 'query' ? '4.3.1' : undefined }) {
    this.token = token;
    this.how = how;
    const { origin, path } = socketIO(endpoint);
    const query = version === undefined ? {} : { clientVersion: version, clientType: type };
    if (how === 'query' && token !== undefined) query.token = token;
    this.socket = io(origin, {
      path, query, transports: TRANSPORTS, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200,
      rejectUnauthorized: !insecure, ...bringing(how, token, headers),
    });
    this.manager = this.socket.io;
    this.manager.engine.on('data', (text) => this.frames.push(text));
    this.manager.on('packet', (p) => p.type === ACK && this.#check(p.id));
    this.manager.on('reconnect_attempt', () => this.journal.add({ what: 'attempt' }));
    this.#listen();
  }

  #listen() {
    const { socket, journal } = this;
    socket.on('connect', () => {
      journal.add({ what: 'connect', unsent: socket.sendBuffer.length });
      if (this.how === 'event') this.authenticate({ token: this.token });
    });
    socket.on('disconnect', (reason) => journal.add({ what: 'disconnect', reason }));
    socket.on('connect_error', (e) => journal.add({ what: 'connect_error', message: e?.message, data: e?.data }));
    socket.on('error', (error) => journal.add({ what: 'error', error }));
    for (const event of ['server-authenticated', 'server-disconnect', 'server-refused']) {
      socket.on(event, (...args) => journal.add({ what: event, args }));
    }
    socket.on('owt-message', (...args) => this.inbox.add({ what: 'message', ...args[0], args: args.length }));
  }

  #check(id) {
    if (this.#acked.has(id)) this.strays.push(id);
    this.#acked.add(id);
  }

  /** Emits `authentication`; its ack is written in the journal. */
  authenticate(...args) {
    return this.emit('authentication', ...args).then((answer) => {
      this.journal.add({ what: 'authenticated', answer });
      return answer;
    });
  }

  /** Resolves with the name that the server gave, for the nth time. */
  async ready(n = 1) {
    const told = await this.journal.nth(n, 'server-authenticated');
    if (this.how !== 'event') return only(told.args).uid;
    const { answer } = await this.journal.nth(n, 'authenticated');
    const { uid } = only(answer);
    if (only(told.args).uid !== uid) throw new Error(`ack says ${uid}, server-authenticated ${told.args[0].uid}`);
    return uid;
  }

  /** Emits with an ack. Resolves with the ack's arguments, if there ever is one. */
  emit(event, ...args) {
    return new Promise((resolve) => this.socket.emit(event, ...args, (...answer) => resolve(answer)));
  }

  /** Sends a message. Resolves with how the server acked it: 0, or the code of a failure. */
  send(to, data, ms) {
    return this.answer(this.post(to, data), `the ack of a message to ${to}`, ms);
  }

  /** An answer of the server's, bounded. */
  answer(promise, what, ms) {
    return within(promise, what, ms, () => this.journal.tail());
  }

  /** The same, however long it takes. */
  async post(to, data) {
    return outcome(await this.emit('owt-message', { to, data }));
  }

  /** Emits without an ack. */
  fire(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** How often the library has opened a connection, or tried to. */
  get attempts() {
    return 1 + this.journal.count('attempt');
  }

  get connected() {
    return this.socket.connected;
  }

  /** Closes the transport, as a lost network would; the library reconnects. */
  async drop() {
    const before = this.journal.count('disconnect');
    this.manager.engine.close();
    await this.journal.nth(before + 1, 'disconnect');
  }

  /** Cuts the transport without a word to the server. */
  async cut() {
    const before = this.journal.count('disconnect');
    this.manager.engine.transport.ws.terminate();
    await this.journal.nth(before + 1, 'disconnect');
  }

  /** Closes for good. */
  close() {
    this.socket.close();
  }
}

/** The library's options that bring a token in a part of the handshake that is no query. */
function bringing(how, token, headers) {
  if (how === 'subprotocol') {
    const protocols = subprotocols(token);
    return { protocols, transportOptions: { websocket: { protocols } }, extraHeaders: headers }; // the latter: Socket.IO 2
  }
  if (how === 'header') return { extraHeaders: { ...headers, Authorization: `Bearer ${token}` } };
  return headers === undefined ? {} : { extraHeaders: headers };
}

function only(args) {
  if (args.length !== 1) throw new Error(`one argument expected, not ${JSON.stringify(args)}`);
  return args[0];
}

/** How a message ended: OWT's clients take no argument for success, and one number for failure. */
function outcome(args) {
  if (args.length === 0) return 0;
  if (args.length === 1 && typeof args[0] === 'number') return args[0];
  throw new Error(`an ack has no argument or one number, not ${JSON.stringify(args)}`);
}
