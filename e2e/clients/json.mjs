// A client of the subprotocol owt.signal.v1: JSON over a WebSocket.

import { WebSocket } from 'ws';
import { webSocket } from './endpoint.mjs';
import { Journal, within } from './wait.mjs';

export const SUBPROTOCOL = 'owt.signal.v1';

/** What a client offers that brings its token so, as browsers can: they set no header but this. */
export const subprotocols = (token) => [SUBPROTOCOL, `owt.token.${Buffer.from(token ?? '').toString('base64url')}`];

export class JSONClient {
  /** What came: `open` and `close` of the socket (as `opened` and `closed`), and frames by their type. */
  journal = new Journal();
  /** Messages of other users. */
  inbox = new Journal();
  /** Acks that nobody was waiting for. */
  strays = [];
  /** Frames as they came. */
  frames = [];
  #last = 0;
  #waiting = new Map();

  /**
   * @param {{
   *   endpoint: string, insecure?: boolean, token?: string, how?: string, version?: string, batch?: string, protocols?: string[],
   *   recovery?: {recover: number, epoch?: string, since?: number},
   * }} options how: which part of the handshake brings the token, header or subprotocol; otherwise the query does
   */
  constructor({ endpoint, insecure, token, how, version, batch, recovery, protocols = how === 'subprotocol' ? subprotocols(token) : [SUBPROTOCOL] }) {
    const { journal } = this;
    const query = { token: how === 'header' || how === 'subprotocol' ? undefined : token, clientVersion: version, batch, ...recovery };
    this.socket = new WebSocket(webSocket(endpoint, query), protocols, {
      rejectUnauthorized: !insecure, perMessageDeflate: false,
      headers: how === 'header' ? { Authorization: `Bearer ${token}` } : {},
    });
    this.socket.on('open', () => journal.add({ what: 'opened' }));
    this.socket.on('error', (e) => journal.add({ what: 'failed', message: e.message }));
    this.socket.on('close', (code, reason) => journal.add({ what: 'closed', code, reason: String(reason) }));
    this.socket.on('message', (bytes) => this.#receive(String(bytes)));
  }

  #receive(text) {
    this.frames.push(text);
    for (const frame of [JSON.parse(text)].flat()) this.#take(frame);
  }

  #take(frame) {
    const answer = this.#waiting.get(frame.id);
    switch (true) {
      case frame.type === 'message':
        this.inbox.add({ what: 'message', ...frame });
        break;
      case frame.type !== 'ack' && !(frame.type === 'error' && 'id' in frame):
        this.journal.add({ what: frame.type, ...frame });
        break;
      case answer === undefined:
        this.strays.push(JSON.stringify(frame));
        break;
      default:
        this.#waiting.delete(frame.id);
        answer(frame);
    }
  }

  /** Resolves with the name that the server gave. */
  async ready() {
    return (await this.journal.first('welcome')).user;
  }

  /** Sends a frame. */
  write(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Sends a message whose data is written as it is. Resolves with the answer, if there ever is one. */
  ask(to, raw) {
    const id = ++this.#last;
    const answer = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.write(`{"type":"message","id":${id},"to":${JSON.stringify(to)},"data":${raw}}`);
    return answer;
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
    return outcome(await this.ask(to, JSON.stringify(data)));
  }

  /** How often it has connected: it does so once. */
  get attempts() {
    return 1;
  }

  get connected() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Cuts the socket without a word to the server. */
  async cut() {
    this.socket.terminate();
    await this.journal.first('closed');
  }

  close() {
    this.socket.close();
  }
}

function outcome({ type, id: _, ...rest }) {
  const members = Object.keys(rest).sort().join();
  if (type === 'ack' && members === '') return 0;
  if (type === 'error' && members === 'code,message' && typeof rest.code === 'number') return rest.code;
  throw new Error(`neither an ack nor an error with a code: ${type} ${JSON.stringify(rest)}`);
}
