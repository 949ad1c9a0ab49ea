/** What `P2PClient.connect` of OWT's SDK is given. */
export interface LoginInfo {
  /**
   * The server's address: http(s) or ws(s). Without a path it is `/socket.io/`, which the local server and a custom
   * domain serve; on AWS without one, the stage is the path: `https://abc123.execute-api.eu-west-1.amazonaws.com/prod`.
   */
  host?: string;
  /** The same, under a better name. */
  url?: string | URL;
  /**
   * Who the user is, in the server's terms. None: anonymous. A function is asked for each connection: a connection ends
   * with its token, and then the next goes on with a fresh one.
   */
  token?: string | (() => string | Promise<string>);
}

/** Why a channel has ended. */
export interface End {
  reason:
    /** disconnect() was called. */
    | 'left'
    /** Another device, or another tab, has connected under the same name. */
    | 'superseded'
    /** The server refused the client, or the browser the address; see `code`. */
    | 'refused'
    /** All attempts to connect have failed. */
    | 'unreachable'
    /** The server gave the user another name than before, as it does to one without a token. */
    | 'renamed';
  code?: number;
}

/**
 * Messages that did not come: the user's messages numbered `first` to `last` in `epoch` were accepted by the server, and
 * not delivered in time. They are lost; what comes later than that is dropped. Without `last` the server has begun to count anew, and
 * nobody knows how many there were; there may have been none.
 */
export interface Gap {
  epoch: string;
  first: number;
  last?: number;
}

/** A frame as it passes, for those who watch. */
export interface Frame {
  direction: 'in' | 'out';
  /** JSON: docs/protocol.md, owt.signal.v1; an array, if it is several. */
  text: string;
  /** The server's name of the connection, once it was told. */
  connection?: string;
}

export type State = 'disconnected' | 'connecting' | 'connected' | 'reconnecting';

/** All times are in ms. */
export interface Options {
  /** The WebSocket to use where there is none, as in Node 20: that of the package `ws`. */
  WebSocket?: unknown;

  /** How long it may take until a connection is welcome. 10 s. */
  connectTimeout?: number;
  /** After which silence the server is asked for a sign of life; never later than a quarter of its idle time. 60 s. */
  heartbeat?: number;
  /** How long after something was sent there must be a sign of life, or the connection is given up. 6 s. */
  deadAfter?: number;

  /** When a message without an answer is sent again, under its number; twice as long each time, up to 8 times. 2 s. */
  ackTimeout?: number;
  /** How many messages wait to be sent; with one more `send` rejects with 2102. 4096. */
  maxQueued?: number;

  /** The pause before the first attempt to reconnect; it doubles with each that fails, up to `reconnectMost`. 500 ms. */
  reconnectFirst?: number;
  /** 15 s. */
  reconnectMost?: number;
  /** How many attempts there are in a row. 10, as in OWT's samples; `Infinity` is allowed. */
  reconnectAttempts?: number;
  /** How long a connection must last. Of those in a row that did not, each after the fourth doubles the pause, too. 5 s. */
  stableAfter?: number;

  /**
   * When a connection is renewed, before the server ends it: up to a tenth sooner, at random. 110 min. Less than the
   * life of a token, if that is shorter: a renewal is not noticed, the end of a token is a reconnect.
   */
  renewAfter?: number;
  /** How long the connection before is kept, for what is still coming on it. 10 s. */
  retireAfter?: number;

  /** How long a message waits for those before it. 3 s. */
  gapWait?: number;
  /** How long after a reconnect messages wait for receivers that are not back. 20 s. */
  grace?: number;
  /** How long `disconnect` waits for answers to what was sent. 1 s. */
  farewell?: number;

  /** For tests. */
  clock?: { now(): number; setTimeout(act: () => void, ms: number): unknown; clearTimeout(timer: unknown): void };
  /** For tests. */
  random?: () => number;
}

/** OWT's SignalingChannel: what `new Owt.P2P.P2PClient(configuration, signalingChannel)` is given. */
export class SignalingChannel {
  constructor(options?: Options);

  /** A message came. Each comes once, and those of a sender in the order in which they were sent. */
  onMessage: ((from: string, message: any) => void) | null;
  /** The channel has ended, and does not come back by itself. Once for each `connect`. */
  onServerDisconnected: ((end: End) => void) | null;
  /** Not part of OWT's interface, like what follows. */
  onStateChange: ((state: State, end?: End) => void) | null;
  onGap: ((gap: Gap) => void) | null;
  onFrame: ((frame: Frame) => void) | null;

  readonly state: State;

  /** Resolves with the user's name. Rejects with a {@link Code}. */
  connect(loginInfo: LoginInfo): Promise<string>;
  /**
   * Resolves when the message was accepted for the receiver's live connection. Rejects with a {@link Code}, a plain
   * number; with 2100 or 2101 the message may have been delivered, once.
   */
  send(targetId: string, message: string): Promise<void>;
  /** Whether a user is online. Rejects with a {@link Code}. */
  presence(user: string): Promise<boolean>;
  /** Resolves when the channel has ended. */
  disconnect(): Promise<void>;
}

/** The values of {@link Options}, where they are not given. */
export const DEFAULTS: Readonly<Record<string, number>>;

/** OWT's codes. */
export const Code: Readonly<{
  UNKNOWN: 2100;
  UNAVAILABLE: 2101;
  BUSY: 2102;
  UNSUPPORTED: 2103;
  CLIENT: 2110;
  NOT_CONNECTED: 2111;
  UNAUTHENTICATED: 2120;
  WRONG_TOKEN: 2121;
  UNREACHABLE: 2201;
  NO_WEBSOCKET: 2401;
  ILLEGAL_ARGUMENT: 2402;
  INVALID_STATE: 2403;
}>;
