import { Code, SignalError } from './codes.js';

/**
 * The STUN and TURN servers that the operator offers, with credentials that may expire. The welcome brings them; later ones are
 * asked for.
 */
export class IceServers {
  #settings;
  #servers = [];
  #at = 0; // when they came
  #life = Infinity; // ms
  #asking; // {promise, answer, fail, on}

  /** @param {{clock: object, ackTimeout: number}} settings times in ms */
  constructor(settings) {
    this.#settings = settings;
  }

  /** What they are, by themselves: the caller may change it. */
  get servers() {
    return structuredClone(this.#servers);
  }

  /** Whether at most half of the time for which they are good is over. */
  get fresh() {
    return this.#age <= this.#life / 2;
  }

  get valid() {
    return this.#age < this.#life;
  }

  get #age() {
    return this.#settings.clock.now() - this.#at;
  }

  /** They have come: in a welcome, which has none if none are configured, or in an answer. */
  take({ iceServers = [], iceExpires = Infinity }) {
    this.#servers = iceServers;
    this.#life = iceExpires * 1000;
    this.#at = this.#settings.clock.now();
    this.#asking?.answer();
  }

  /** Asks for others on a connection. Rejects if there is no answer; those that there are may still be good. */
  ask(connection) {
    return (this.#asking ??= this.#question(connection)).promise;
  }

  /** A connection answers no question any more. */
  forget(connection) {
    if (this.#asking && this.#asking.on === connection) this.#asking.fail(Code.NOT_CONNECTED);
  }

  #question(connection) {
    const { clock, ackTimeout } = this.#settings;
    const question = { on: connection };
    question.promise = new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => question.fail(Code.UNAVAILABLE), ackTimeout);
      const end = () => {
        clock.clearTimeout(timer);
        this.#asking = undefined;
      };
      question.answer = () => { end(); resolve(); };
      question.fail = (code) => { end(); reject(new SignalError(code)); };
    });
    connection.send('{"type":"ice"}');
    return question;
  }
}
