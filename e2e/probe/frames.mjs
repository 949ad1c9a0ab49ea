// Counts the data frames that come on a WebSocket, which its library does not tell (RFC 6455, section 5.2).

const OPCODE = 0x0f;
const CONTROL = 0x8;
const LENGTH = 0x7f;

export class FrameCounter {
  frames = 0;
  #head = Buffer.alloc(0); // of a frame, as far as it has come
  #rest = 0; // of the payload of the present frame, in bytes

  /** @param {import('ws').WebSocket} socket, which is open, and not within a frame */
  constructor(socket) {
    socket._socket.prependListener('data', (chunk) => this.#count(chunk));
  }

  #count(chunk) {
    let bytes = Buffer.concat([this.#head, chunk.subarray(Math.min(this.#rest, chunk.length))]);
    this.#rest -= Math.min(this.#rest, chunk.length);
    while (this.#rest === 0 && bytes.length >= 2) {
      const length = bytes[1] & LENGTH;
      const header = 2 + (length === 126 ? 2 : length === 127 ? 8 : 0);
      if (bytes.length < header) break;
      if ((bytes[0] & OPCODE) < CONTROL) this.frames++;
      const payload = length === 126 ? bytes.readUInt16BE(2) : length === 127 ? Number(bytes.readBigUInt64BE(2)) : length;
      const there = Math.min(payload, bytes.length - header);
      this.#rest = payload - there;
      bytes = bytes.subarray(header + there);
    }
    this.#head = this.#rest === 0 ? bytes : Buffer.alloc(0);
  }
}
