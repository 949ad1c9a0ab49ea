/** How long two browsers may take to reach each other before they try anew, in ms. */
const PATIENCE = 4000;
/** The same of the polite side, in ms, so that the two do not try at the same moment. */
const POLITE_PATIENCE = 6800;
/** How long what was said last has until the connection is closed, in ms. */
const FAREWELL = 500;

/**
 * A connection to another browser: media and a data channel, negotiated as in "Perfect negotiation" of the W3C's WebRTC
 * recommendation (section 10.7). Both sides may offer at any time; where two offers meet, the polite side withdraws its
 * own. That it works rests on signaling that is ordered.
 *
 * Chromium finds no addresses of its own, ever, if its first offer is withdrawn just as it begins to look for them, so
 * that is not done before it has found one. Where the two do not reach each other within some time, ICE is restarted: by
 * the impolite side, whose offers are not withdrawn, and by the other only later. Both at once would meet again.
 */
export class Peer {
  /** Functions that are called; the page sets them. */
  onstate = () => {};
  ontrack = () => {};
  onchat = () => {};
  onchatopen = () => {};
  onsaid = () => {};

  #pc;
  #chat;
  #control; // what the two pages tell each other without the server: JSON
  #ice;
  #send;
  #polite;
  #stream;
  #told = {};
  #prepared = false;
  #offering = false;
  #ignoring = false;
  #found; // a promise of the first address of its own, or of the word that there is none
  #turn = Promise.resolve(); // one message after the other
  #watch;

  /**
   * @param {{
   *   send: (message: object) => void, polite: boolean, stream: MediaStream | null, offers: boolean,
   *   iceServers?: RTCIceServer[], ice?: () => Promise<RTCIceServer[] | null>,
   * }} how offers: this side begins; the other adds what it has to the first offer's answer. ice: asks for ICE servers when
   *   ICE is restarted, since credentials end; null: those that there are.
   */
  constructor({ send, polite, stream, iceServers, ice = async () => null, offers }) {
    this.#pc = new RTCPeerConnection({ iceServers });
    this.#ice = ice;
    this.#send = send;
    this.#polite = polite;
    this.#stream = stream;
    const pc = this.#pc;
    pc.onnegotiationneeded = () => this.#offer();
    this.#found = new Promise((resolve) => { pc.addEventListener('icecandidate', resolve, { once: true }); });
    pc.onicecandidate = ({ candidate }) => candidate && send({ type: 'candidate', candidate });
    pc.ontrack = ({ track, streams }) => this.ontrack(track, streams[0]);
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'failed' && !polite) this.#restart();
      this.onstate(pc.connectionState);
    };
    this.#watch = setInterval(() => {
      if (['new', 'connecting', 'failed'].includes(pc.connectionState) && pc.remoteDescription) this.resync();
    }, polite ? POLITE_PATIENCE : PATIENCE);
    if (offers) this.#prepare();
  }

  get state() {
    return this.#pc.connectionState;
  }

  get chatting() {
    return this.#chat?.readyState === 'open';
  }

  #prepare() {
    if (this.#prepared) return;
    this.#prepared = true;
    const pc = this.#pc;
    for (const track of this.#stream?.getTracks() ?? []) pc.addTrack(track, this.#stream);
    for (const kind of ['audio', 'video']) { // without a camera one can still look
      if (!pc.getTransceivers().some((t) => t.receiver.track.kind === kind)) pc.addTransceiver(kind, { direction: 'recvonly' });
    }
    this.#chat = pc.createDataChannel('chat', { negotiated: true, id: 0 });
    this.#chat.onmessage = ({ data }) => this.onchat(data);
    this.#control = pc.createDataChannel('control', { negotiated: true, id: 1 });
    this.#control.onmessage = ({ data }) => this.onsaid(JSON.parse(data));
    this.#control.onopen = () => this.tell({});
    this.#chat.onopen = this.#chat.onclose = () => this.onchatopen(this.chatting);
  }

  async #offer() {
    try {
      this.#offering = true;
      await this.#pc.setLocalDescription();
      this.#describe();
    } catch (error) {
      if (this.#pc.signalingState !== 'closed') throw error;
    } finally {
      this.#offering = false;
    }
  }

  #describe() {
    this.#send({ type: 'description', description: this.#pc.localDescription });
  }

  /** A message of the other side's. */
  receive(message) {
    const heard = this.#turn.then(() => this.#hear(message));
    this.#turn = heard.catch(() => {}); // is told to the caller
    return heard;
  }

  async #hear({ description, candidate }) {
    const pc = this.#pc;
    try {
      if (description) await this.#accept(description);
      else if (candidate) await pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoring && pc.signalingState !== 'closed') throw error;
    }
  }

  async #accept(description) {
    const pc = this.#pc;
    const meets = description.type === 'offer' && (this.#offering || pc.signalingState !== 'stable');
    this.#ignoring = meets && !this.#polite;
    if (this.#ignoring) return;
    if (meets) await this.#found;
    await pc.setRemoteDescription(description);
    if (description.type !== 'offer') return;
    this.#prepare();
    await pc.setLocalDescription();
    this.#describe();
  }

  /** Messages may have been lost: what they would have said is said anew. */
  resync() {
    if (this.#pc.signalingState === 'have-local-offer') this.#describe();
    else if (this.#pc.signalingState === 'stable') this.#restart();
  }

  async #restart() {
    const iceServers = await this.#ice();
    if (this.#pc.signalingState === 'closed') return;
    if (iceServers) this.#pc.setConfiguration({ iceServers });
    this.#pc.restartIce();
  }

  say(text) {
    this.#chat.send(text);
  }

  /** Tells the other page something, and once more what it was told before. */
  tell(news) {
    this.#told = { ...this.#told, ...news };
    if (this.#control?.readyState === 'open') this.#control.send(JSON.stringify(this.#told));
  }

  /** Ends the connection. The other page is told, which the server may not do any more. */
  close() {
    this.tell({ bye: true });
    clearInterval(this.#watch);
    this.onstate = this.ontrack = this.onchat = this.onchatopen = this.onsaid = () => {};
    setTimeout(() => this.#pc.close(), FAREWELL);
  }
}
