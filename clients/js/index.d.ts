/** JSON. */
export type JSONValue = string | number | boolean | null | JSONValue[] | { [name: string]: JSONValue };

/** Where and as whom to connect. */
export interface Login {
  /**
   * The server's address: http(s) or ws(s). Without a path it is `/socket.io/`, which the local server and a custom
   * domain serve; on AWS without one, the stage is the path: `https://abc123.execute-api.eu-west-1.amazonaws.com/prod`.
   */
  url?: string | URL;
  /** The same, as OWT's samples call it. */
  host?: string;
  /**
   * Who the user is, in the server's terms. None: anonymous. A function is asked for each connection: a connection ends
   * with its token, and then the next goes on with a fresh one. An empty token is an error.
   */
  token?: string | (() => string | Promise<string>);
  /** Gives up while it is connecting. */
  signal?: AbortSignal;
}

/** Why a client has ended. */
export interface End {
  reason:
    /** disconnect() was called. */
    | 'left'
    /** Another device, or another tab, has connected under the same name. */
    | 'superseded'
    /** The server refused the client, or the browser the address; see `error`. */
    | 'refused'
    /** The first attempt to connect has failed, or all of them; see `error`. */
    | 'unreachable'
    /** The server gave the user another name than before, as it does to one without a token. */
    | 'renamed';
  /** A {@link Code}, if there is an error. */
  code?: number;
  error?: SignalError;
}

/** There will be another attempt to connect. */
export interface Retry {
  /** 1 for the first after a connection was lost, or could not be made. */
  attempt: number;
  /** In so many ms. */
  delay: number;
  /** Why it is necessary. */
  reason: SignalError;
}

/**
 * Messages that did not come: the user's messages numbered `first` to `last` in `epoch` were accepted by the server, and
 * not delivered, and the server does not keep them any more, or none at all. They are lost; what comes later than that is dropped.
 * Without `last` the server has begun to count anew, and nobody knows how many there were; there may have been none.
 */
export interface Gap {
  epoch: string;
  first: number;
  last?: number;
}

/** A watched user has come, or gone; or cannot be watched, and then the watch has ended. */
export interface PresenceEvent {
  user: string;
  online?: boolean;
  error?: SignalError;
}

/** A frame as it passes, for those who look on. */
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
  /** The WebSocket to use. By default the global one or, where there is none, as in Node 20, that of the package `ws`. */
  WebSocket?: unknown;

  /** How long it may take until a connection is welcome, and before that, until there is a token. 10 s. */
  connectTimeout?: number;
  /** After which silence the server is asked for a sign of life; never later than a quarter of its idle time. 60 s. */
  heartbeat?: number;
  /** How long after something was sent there must be a sign of life, or the connection is given up. 6 s. */
  deadAfter?: number;

  /** When a message without an answer is sent again, under its number; twice as long each time, up to 8 times. 2 s. */
  ackTimeout?: number;
  /** How many messages wait to be sent; with one more `send` rejects with 2102. 4096. */
  maxQueued?: number;

  /** Whether `connect` tries again if the first attempt fails, as often as later ones. By default it rejects at once. */
  retryFirst?: boolean;
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

  /** How long a message waits for those before it until they are asked for or, if the server keeps none, given up. 3 s. */
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

/** Ends an operation early: its promise is rejected with the signal's reason. */
export interface Abortable {
  signal?: AbortSignal;
}

/** What is told, as `detail` of events. */
export interface ClientEvents<Data = JSONValue> {
  message: { from: string; data: Data };
  statechange: { state: State; end?: End };
  retry: Retry;
  gap: Gap;
  presence: PresenceEvent;
  end: End;
  frame: Frame;
}

/** A look at a user's presence: `for await (const { online } of watch)`. Who is slow to look sees the latest state alone. */
export interface Watch extends AsyncIterableIterator<{ user: string; online: boolean }> {
  readonly user: string;
  /** Undefined until the server has told it. */
  readonly online: boolean | undefined;
  /** Ends it, and a loop over it; to leave a loop ends it, too. */
  stop(): void;
}

/** An RTCIceServer. */
export interface IceServer {
  urls: string | string[];
  username?: string;
  credential?: string;
}

/** A client whose session outlives its connections. What fails rejects with a {@link SignalError}. */
export class SignalingClient<Data = JSONValue> extends EventTarget {
  constructor(options?: Options);

  /** A message came. Each comes once, and in the order in which they were sent. */
  onMessage: ((from: string, data: Data) => void) | null;
  onStateChange: ((state: State, end?: End) => void) | null;
  onRetry: ((retry: Retry) => void) | null;
  onGap: ((gap: Gap) => void) | null;
  onPresence: ((event: PresenceEvent) => void) | null;
  /** The client has ended, and does not come back by itself. Once for each `connect`. */
  onEnd: ((end: End) => void) | null;
  onFrame: ((frame: Frame) => void) | null;

  readonly state: State;
  /** The user's name, once the server has told it. */
  readonly user: string | undefined;
  /** Resolves with the user's name when there is a connection, at once if there is. Rejects if there will be none. */
  readonly ready: Promise<string>;

  /** Resolves with the user's name. Rejects if the first attempt fails (but see `retryFirst`), or with 2400 after `disconnect`. */
  connect(login: Login): Promise<string>;
  /**
   * Resolves when the message was accepted for the receiver. With 2100 or 2101 it may have been delivered, once. A signal takes
   * a message back that waits to be sent; one that was sent may have been delivered.
   */
  send(to: string, data: Data, options?: Abortable): Promise<void>;
  /** Whether a user is online. */
  presence(user: string, options?: Abortable): Promise<boolean>;
  /** Watches a user, over all connections, until it is stopped, the signal says so, or the client ends. */
  watch(user: string, options?: Abortable): Watch;
  /** Ends all watches of a user. */
  unwatch(user: string): void;
  /**
   * The STUN and TURN servers that the operator offers, as RTCPeerConnection takes them; with at least half of their time left, if they
   * can be had. Empty: there are none.
   */
  iceServers(): Promise<IceServer[]>;
  /** Resolves when the client has ended. */
  disconnect(): Promise<void>;

  addEventListener<Type extends keyof ClientEvents>(
    type: Type, listener: ((event: CustomEvent<ClientEvents<Data>[Type]>) => void) | null, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** What `P2PClient.connect` of OWT's SDK is given. */
export type LoginInfo = Login;

/**
 * OWT's SignalingChannel: what `new Owt.P2P.P2PClient(configuration, signalingChannel)` is given. The same client, but `connect`, `send` and
 * `presence` reject with a {@link Code}, a plain number: OWT's SDK knows nothing else.
 */
export class SignalingChannel extends SignalingClient<any> {
  /** The same as `onEnd`, as OWT's SDK calls it. */
  onServerDisconnected: ((end: End) => void) | null;
}

/** The values of {@link Options}, where they are not given. */
export const DEFAULTS: Readonly<Record<
  Exclude<keyof Options, 'WebSocket' | 'clock' | 'random' | 'retryFirst'>, number> & { retryFirst: boolean }>;

/** Something failed: `code` is a {@link Code}, `message` says it in words. */
export class SignalError extends Error {
  constructor(code: number, text?: string, options?: { cause?: unknown });
  readonly name: 'SignalError';
  readonly code: number;
}

/** OWT's codes. README.md says what each means. */
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
  CLOSED: 2400;
  NO_WEBSOCKET: 2401;
  ILLEGAL_ARGUMENT: 2402;
  INVALID_STATE: 2403;
}>;
