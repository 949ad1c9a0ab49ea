import { Alarm } from './clock.js';
import { Code, SignalError } from './codes.js';

const SUBPROTOCOL = 'owt.signal.v1'; // docs/protocol.md, JSON

/**
 * What to offer in the handshake. The token goes with it, not in the address, which is written down in many places; a
 * browser can set no other header (docs/authentication.md, Where a token travels).
 */
export function subprotocols(token) {
  if (!token) return [SUBPROTOCOL];
  const text = String.fromCharCode(...new TextEncoder().encode(token));
  return [SUBPROTOCOL, `owt.token.${btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`];
}

/** What is assumed where the server does not say (docs/protocol.md). */
const IDLE = 600; // seconds
const IN_FLIGHT = 128;
const BATCH = 1; // an older server takes no arrays

/** API Gateway's largest WebSocket frame, in bytes; browsers cannot be told to fragment one. It meters as much as one message. */
export const MAX_FRAME = 32 << 10;

/** What may be wrong where a handshake failed and the WebSocket does not say why, as in browsers. */
const UNTOLD = 'nobody listens there, the path is wrong, the certificate is not trusted, or the server does not allow the origin';

/** What the causes mean that Node's WebSockets give for a handshake that failed. */
const MEANINGS = [
  [/\b(403|404|426)\b/, 'the path is wrong, or the server does not allow the origin'],
  [/certificate|self.signed/i, 'Node trusts those in the file that NODE_EXTRA_CA_CERTS names'],
  [/ECONNREFUSED/, 'nobody listens there'],
  [/network error/, UNTOLD],
  [/ENOTFOUND|EAI_AGAIN/, 'there is no such host'],
];
/**
 * One WebSocket connection, from its opening to its end. It says what it hears by the functions of `on`:
 * `message` (void and lost numbers, too), `replayed`, `answer`, `stored`, `presence` (an error, too) and `ice` as they come;
 * `welcome` at most once, and messages may come before it; `superseded` or `refused` at most once; and `closed` last, with
 * a {@link SignalError} that says why.
 *
 * It ends itself when it is not welcome in time, and when the server has not answered for `deadAfter`: a connection may
 * be dead without anybody being told, so a client that has heard nothing for a while asks.
 */
export class Connection {
  /** The server's name of it, once it was told. */
  id;
  /** How many messages the server takes at a time. */
  maxInFlight = IN_FLIGHT;
  /** How many users it lets one watch; undefined: it knows nothing of that. */
  maxWatched;
  welcome = false;
  #opened = false;
  #trouble; // what the WebSocket says is wrong
  #refusal; // what the server says is
  #maxBatch = BATCH; // how many it takes in a frame
  #batch = []; // messages of this tick
  #socket;
  #settings;
  #on;
  #alarm;
  #deadline; // by which it must be welcome
  #heardAt;
  #askedAt = Infinity; // since when something has been without an answer
  #closed = false;

  /**
   * @param {WebSocket} socket
   * @param {{clock: object, connectTimeout: number, heartbeat: number, deadAfter: number}} settings times in ms
   */
  constructor(socket, settings, on) {
    this.#socket = socket;
    this.#settings = { ...settings };
    this.#on = on;
    this.#heardAt = settings.clock.now();
    this.#deadline = this.#heardAt + settings.connectTimeout;
    this.#alarm = new Alarm(settings.clock, () => this.#watch());
    this.#alarm.by(this.#deadline);
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onopen = () => { this.#opened = true; };
    socket.onclose = ({ code, reason }) => this.#end(this.#refusal ?? this.#closing(code, reason));
    socket.onerror = ({ message, error }) => {
      this.#trouble = error?.cause?.message || error?.message || error?.code || message;
      settings.clock.setTimeout(() => this.#end(this.#closing()), 0); // onclose follows, but not always in Node 20 and 22
    };
  }

  /** Sends a message, in one frame with what else is sent in this tick. It has at most so many bytes, fewer than MAX_FRAME. */
  post(text, bytes) {
    if (this.#batch.push({ text, bytes }) === 1) queueMicrotask(() => this.#flush());
  }

  /** Sends a frame, which the server will answer, after the messages that were posted. */
  send(text) {
    this.#flush();
    this.#write(text);
  }

  #flush() {
    const batch = this.#batch.splice(0);
    while (batch.length > 0) {
      let [count, bytes] = [1, batch[0].bytes + 2]; // brackets
      while (count < Math.min(batch.length, this.#maxBatch) && (bytes += 1 + batch[count].bytes) <= MAX_FRAME) count++;
      const texts = batch.splice(0, count).map(({ text }) => text);
      this.#write(count === 1 ? texts[0] : `[${texts}]`);
    }
  }

  #write(text) {
    if (this.#socket.readyState !== 1) return; // OPEN; its end is about to be told
    if (this.#askedAt === Infinity) this.#askedAt = this.#settings.clock.now();
    this.#alarm.by(this.#askedAt + this.#settings.deadAfter);
    this.#on.frame?.('out', text, this.id);
    this.#socket.send(text);
  }

  /** Asks for a sign of life. */
  probe() {
    this.send('{"type":"ping"}');
  }

  /** Says goodbye, and closes. */
  leave() {
    this.send('{"type":"leave"}');
    this.#detach();
    this.#socket.close(1000);
  }

  /** Closes without a word, and without waiting for the server. */
  drop() {
    this.#detach();
    if (this.#socket.terminate) this.#socket.terminate(); // of Node's ws: its close waits for an answer
    else this.#socket.close();
  }

  #detach() {
    this.#closed = true;
    this.#alarm.off();
  }

  #hear(text) {
    if (this.#closed) return;
    this.#opened = true;
    this.#heardAt = this.#settings.clock.now();
    this.#askedAt = Infinity;
    this.#on.frame?.('in', text, this.id);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    for (const said of [frame].flat()) if (!this.#closed) this.#take(said);
    if (!this.#closed) this.#alarm.by(this.#heardAt + this.#settings.heartbeat);
  }

  #take(frame) {
    switch (frame?.type) {
      case 'open':
        this.id = frame.connection;
        this.maxInFlight = frame.maxInFlight ?? IN_FLIGHT;
        this.#maxBatch = frame.maxBatch ?? BATCH;
        this.maxWatched = frame.maxWatched;
        this.#settings.heartbeat = Math.min(this.#settings.heartbeat, (frame.idle ?? IDLE) * 1000 / 4);
        break;
      case 'welcome':
        if (this.welcome) break; // an invocation that ran twice
        this.welcome = true;
        this.#on.welcome(frame);
        break;
      case 'message':
      case 'void':
      case 'lost':
        this.#on.message(frame);
        break;
      case 'replayed':
        this.#on.replayed(frame);
        break;
      case 'ack':
        this.#on.answer(frame.id, 0);
        break;
      case 'stored':
        this.#on.stored(frame.id);
        break;
      case 'error':
        if (frame.closing) {
          this.#refusal = new SignalError(frame.code, frame.message && `the server says: ${frame.message}`);
          this.#on.refused(this.#refusal);
        } else if (frame.id !== undefined) {
          this.#on.answer(frame.id, frame.code);
        } else if (frame.user !== undefined) {
          this.#on.presence(frame);
        }
        break;
      case 'presence':
        this.#on.presence(frame);
        break;
      case 'ice':
        this.#on.ice(frame);
        break;
      case 'superseded':
        this.#on.superseded();
        break;
    }
  }

  #watch() {
    const { clock, heartbeat, deadAfter } = this.#settings;
    const now = clock.now();
    if (now >= this.#askedAt + deadAfter) {
      this.#giveUp(`has not answered for ${deadAfter} ms`);
      return;
    }
    if (!this.welcome && now >= this.#deadline) {
      this.#giveUp(`has not welcomed this client within ${this.#settings.connectTimeout} ms`);
      return;
    }
    if (this.welcome && now >= this.#heardAt + heartbeat && this.#askedAt === Infinity) this.probe();
    const next = [this.#askedAt + deadAfter, this.welcome ? this.#heardAt + heartbeat : this.#deadline];
    this.#alarm.by(Math.min(...next.filter((at) => at > now)));
  }

  #giveUp(why) {
    this.drop();
    this.#on.closed(this.#refusal ?? new SignalError(Code.UNAVAILABLE, `${this.#address} ${why}`));
  }

  #end(why) {
    if (this.#closed) return;
    this.#detach();
    this.#on.closed(why);
  }

  /** Why the WebSocket has closed, as far as it is known. */
  #closing(code, reason) {
    if (this.#opened) {
      return new SignalError(Code.UNAVAILABLE, `the connection to ${this.#address} has ended${code ? `, with ${code}` : ''}${reason ? `: ${reason}` : ''}`);
    }
    const trouble = this.#trouble;
    const meaning = trouble ? MEANINGS.find(([pattern]) => pattern.test(trouble))?.[1] : UNTOLD;
    return new SignalError(Code.UNAVAILABLE, [`${this.#address} cannot be reached`, trouble, meaning].filter(Boolean).join(': '));
  }

  /** Without the query, which may hold a secret. */
  get #address() {
    const { origin, pathname } = new URL(this.#socket.url);
    return origin + pathname;
  }
}
