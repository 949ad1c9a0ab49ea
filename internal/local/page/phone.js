import { stop } from './devices.js';
import { Peer } from './peer.js';

/** How long it rings, in ms. */
const RING = 45_000;
/** How long a connection between two browsers may be away before the call is over, in ms. */
const AWAY = 15_000;
/** How long somebody must have been offline before that counts, in ms. */
const OFFLINE = 2000;
/** 2201: the receiver is not online (docs/protocol.md, Codes). */
const UNREACHABLE = 2201;

/**
 * One call at a time, from the ringing to its end. What two phones tell each other is JSON in the messages of the
 * signaling channel: invite, accept, decline and bye, and between them the descriptions and candidates of their
 * {@link Peer}s. Each has the name of its call, so that what belongs to another is passed over.
 *
 * `onchange` is called with the state: 'idle', and why; 'calling', 'ringing', 'connecting' or 'talking'.
 */
export class Phone {
  onchange = () => {};
  onpeer = () => {};
  onhushed = () => {};

  state = 'idle';
  peer; // the name of the other side
  connection; // a Peer
  iceServers; // for it
  #me;
  #send;
  #media;
  #ice;
  #call; // the name of the call
  #attempt; // this call, on this side
  #invites = false; // the other side has been told
  #timer;
  #absent; // timer, while the other side is offline

  /**
   * @param {{
   *   send: (to: string, message: string) => Promise<void>, media: () => Promise<MediaStream | null>,
   *   ice: () => Promise<RTCIceServer[] | null>,
   * }} how
   */
  constructor({ send, media, ice }) {
    this.#send = send;
    this.#media = media;
    this.#ice = ice;
  }

  /** Under whose name calls are made. */
  set me(name) {
    this.#me = name;
  }

  async call(peer) {
    if (this.state !== 'idle') return;
    this.#begin('calling', peer, String(crypto.getRandomValues(new Uint32Array(1))[0]));
    this.#limit(RING, 'no answer');
    if (!await this.#prepare()) return;
    if (this.state === 'connecting') { // the other side has called meanwhile
      this.#tell({ type: 'accept' });
      this.#connect(true);
      return;
    }
    this.#invites = true;
    this.#tell({ type: 'invite' });
    this.onchange(this.state);
  }

  async answer() {
    if (this.state !== 'ringing') return;
    this.#become('connecting');
    this.#limit(RING, 'no connection');
    if (!await this.#prepare()) return;
    this.#tell({ type: 'accept' });
    this.#connect(true);
  }

  /** Turns camera and microphone on, and asks for ICE servers. Resolves with false if the call is over by then. */
  async #prepare() {
    const attempt = this.#attempt;
    const [stream, iceServers] = await Promise.all([this.#media(), this.#ice()]);
    if (this.#attempt === attempt) Object.assign(this, { stream, iceServers: iceServers ?? [] });
    else stop(stream);
    return this.#attempt === attempt;
  }

  decline() {
    if (this.state !== 'ringing') return;
    this.#tell({ type: 'decline' });
    this.#end('you declined');
  }

  hangUp() {
    if (this.state === 'idle') return;
    this.#tell({ type: 'bye' });
    this.#end('you hung up');
  }

  /** The server says whether the other side is online. Without it a call goes on for as long as the browsers reach each other. */
  seen(online) {
    clearInterval(this.#absent);
    if (online === false && this.state !== 'idle') this.#absent = setInterval(() => this.#missing(), OFFLINE);
  }

  #missing() {
    const { connection } = this;
    if (this.state === 'ringing' || (this.state === 'talking' && !(connection.state === 'connected' && connection.chatting))) {
      this.#end('gone');
    }
  }

  /** Ends the call for a reason of the page's. */
  drop(why) {
    if (this.state !== 'idle') this.#end(why);
  }

  /** A message came. */
  receive(from, text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not from a phone
    }
    if (message?.type === 'invite') this.#invited(from, String(message.call));
    else if (from === this.peer && message?.call === this.#call) this.#hear(message);
  }

  #hear(message) {
    switch (message.type) {
      case 'accept':
        if (this.state !== 'calling') break;
        this.#become('connecting');
        this.#limit(RING, 'no connection');
        this.#connect(false);
        break;
      case 'decline':
        this.#end(message.busy ? 'busy' : 'declined');
        break;
      case 'bye':
        this.#end(this.state === 'ringing' ? 'missed' : 'hung up');
        break;
      case 'description':
      case 'candidate':
        this.connection?.receive(message);
        break;
    }
  }

  #invited(from, call) {
    if (this.state === 'idle') {
      this.#begin('ringing', from, call);
      this.#limit(RING, 'missed');
    } else if (from === this.peer && this.state === 'calling') {
      this.#meet(call);
    } else if (from !== this.peer || call !== this.#call) {
      this.#sendTo(from, { type: 'decline', busy: true, call });
    }
  }

  /** Each calls the other: both have said yes. Of the two calls one goes on, the same on both sides; one side offers. */
  #meet(call) {
    const crossed = this.#invites;
    if (!crossed || call < this.#call) this.#call = call;
    this.#become('connecting');
    this.#limit(RING, 'no connection');
    if (crossed) this.#connect(!this.#polite);
  }

  get #polite() {
    return this.#me < this.peer;
  }

  #connect(offers) {
    const connection = new Peer({
      send: (message) => this.#tell(message), polite: this.#polite, stream: this.stream ?? null, iceServers: this.iceServers, ice: this.#ice, offers,
    });
    this.connection = connection;
    this.onpeer(connection);
    connection.onsaid = ({ bye, hushed }) => {
      if (bye) this.#end('hung up');
      else this.onhushed(hushed);
    };
    connection.onstate = (state) => {
      if (state === 'connected') {
        clearTimeout(this.#timer);
        this.#become('talking');
      } else if (state === 'disconnected' || state === 'failed') {
        this.#limit(AWAY, 'gone');
        this.onchange(this.state, state);
      }
    };
  }

  #tell(message) {
    this.#sendTo(this.peer, { ...message, call: this.#call });
  }

  /** What cannot be sent while a call is being made ends it; one that has been made may do without. */
  #sendTo(to, message) {
    this.#send(to, JSON.stringify(message)).catch((code) => {
      if (message.call !== this.#call || this.state === 'talking' || this.state === 'idle') return;
      if (code === UNREACHABLE) this.#end(message.type === 'invite' ? 'offline' : 'gone');
      else if (message.type === 'invite') this.#end(`error ${code}`);
    });
  }

  #begin(state, peer, call) {
    this.peer = peer;
    this.#call = call;
    this.#invites = false;
    this.#attempt = {};
    this.#become(state);
  }

  #become(state, why) {
    this.state = state;
    this.onchange(state, why);
  }

  #limit(ms, why) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#tell({ type: 'bye' });
      this.#end(why);
    }, ms);
  }

  #end(why) {
    clearTimeout(this.#timer);
    clearInterval(this.#absent);
    this.connection?.close();
    stop(this.stream);
    this.connection = this.stream = this.#call = this.#attempt = undefined;
    this.#become('idle', why);
    this.peer = undefined;
  }
}
