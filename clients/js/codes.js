/**
 * What failed, as a number: OWT's codes (P2PError in its SDKs), which are the server's, too (docs/protocol.md, Codes).
 * OWT's SDK takes note of a failure only if it is a number that it knows.
 */
export const Code = Object.freeze({
  UNKNOWN: 2100,
  UNAVAILABLE: 2101,
  BUSY: 2102,
  UNSUPPORTED: 2103,
  CLIENT: 2110,
  NOT_CONNECTED: 2111,
  UNAUTHENTICATED: 2120,
  WRONG_TOKEN: 2121,
  UNREACHABLE: 2201,
  CLOSED: 2400,
  NO_WEBSOCKET: 2401,
  ILLEGAL_ARGUMENT: 2402,
  INVALID_STATE: 2403,
});

const MEANINGS = {
  2100: 'the server failed, or nobody knows how it ended: a message may have been delivered, once',
  2101: 'the server, or a part that it needs, did not answer',
  2102: 'a limit was reached; the same later may succeed',
  2103: 'the server does not support what the client asks for',
  2110: 'the server cannot understand the message, or it is too large',
  2111: 'there is no connection: it was not sent',
  2120: 'not authenticated: there is no token where one is needed, or another device has taken the name',
  2121: 'the token was refused, or has ended',
  2201: 'the receiver is not online',
  2400: 'the client has ended',
  2401: 'there is no WebSocket here',
  2402: 'an argument is not what it must be',
  2403: 'the client is connected, or connecting, already',
};

/** Something failed: `code` is one of {@link Code}, `message` says it in words. */
export class SignalError extends Error {
  /**
   * @param {number} code
   * @param {string} [text] what the code means, unless there is more to say
   * @param {{cause: unknown}} [options]
   */
  constructor(code, text = MEANINGS[code] ?? 'the server gives a code that this client does not know', options = undefined) {
    super(`${text} (${code})`, options);
    this.name = 'SignalError';
    this.code = code;
  }
}

/** With these the server ends a connection for good: the same again would be answered the same. */
export const isFinal = (code) => [Code.UNSUPPORTED, Code.UNAUTHENTICATED, Code.WRONG_TOKEN].includes(code);

/** These are about the connection that a message was sent on, which is about to end. */
export const isConnections = (code) => [Code.UNAUTHENTICATED, Code.WRONG_TOKEN].includes(code);

/** With these a message may have better luck under the same number, which cannot deliver it twice. */
export const mayPass = (code) => [Code.UNKNOWN, Code.UNAVAILABLE, Code.BUSY].includes(code);
