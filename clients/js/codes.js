/**
 * What fails is told by a number: OWT's codes (P2PError in its SDKs), which are the server's, too (docs/protocol.md,
 * Codes). OWT's SDK takes note of a failure only if it is a number that it knows.
 */
export const Code = Object.freeze({
  /** The server failed, or nobody knows how the message ended: it may have been delivered, once. */
  UNKNOWN: 2100,
  /** A part that the server needs, or the server itself, did not answer. */
  UNAVAILABLE: 2101,
  /** A limit was reached; the same later may succeed. */
  BUSY: 2102,
  /** The server does not support what the client asks for. */
  UNSUPPORTED: 2103,
  /** What the client sent cannot be understood, or is too large. */
  CLIENT: 2110,
  /** There is no connection to send on. The message was not sent. */
  NOT_CONNECTED: 2111,
  /** Not authenticated: the connection is nobody's, or there is no token where one is needed. */
  UNAUTHENTICATED: 2120,
  /** The token was refused, or has ended. */
  WRONG_TOKEN: 2121,
  /** The receiver is not online. */
  UNREACHABLE: 2201,
  /** There is no WebSocket here. */
  NO_WEBSOCKET: 2401,
  /** The address is not a URL. */
  ILLEGAL_ARGUMENT: 2402,
  /** The channel is connected, or connecting, already. */
  INVALID_STATE: 2403,
});

/** With these the server ends a connection for good: the same again would be answered the same. */
export const isFinal = (code) => [Code.UNSUPPORTED, Code.UNAUTHENTICATED, Code.WRONG_TOKEN].includes(code);

/** These are about the connection that a message was sent on, which is about to end. */
export const isConnections = (code) => [Code.UNAUTHENTICATED, Code.WRONG_TOKEN].includes(code);

/** With these a message may have better luck under the same number, which cannot deliver it twice. */
export const mayPass = (code) => [Code.UNKNOWN, Code.UNAVAILABLE, Code.BUSY].includes(code);
