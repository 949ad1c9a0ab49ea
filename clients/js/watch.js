/**
 * One look at a user's presence, for as long as it is wanted: `for await (const { online } of watch)`. Who is slow to look sees
 * the latest state alone.
 */
export class Watch {
  user;
  /** Whether the user is online, as far as is known; undefined: not told yet. */
  online;
  #stop;
  #news = false; // since it was last looked at
  #end; // {error}: there will be nothing more
  #waiting = []; // of next

  /** @param {string} user @param {(watch: Watch) => void} stop called when it is not wanted any more */
  constructor(user, stop) {
    this.user = user;
    this.#stop = stop;
  }

  /** For the client: the user has come, or gone. */
  tell(online) {
    this.online = online;
    this.#news = true;
    this.#pass();
  }

  /** For the client: there will be nothing more. With an error, whoever looks is told. */
  end(error) {
    this.#end ??= { error };
    this.#pass();
  }

  /** Ends the watch. */
  stop() {
    if (this.#end) return;
    this.#news = false;
    this.end();
    this.#stop(this);
  }

  next() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#pass();
    });
  }

  /** A loop that is left ends the watch. */
  async return() {
    this.stop();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  #pass() {
    while (this.#waiting.length > 0 && (this.#news || this.#end)) {
      const { resolve, reject } = this.#waiting.shift();
      if (this.#news) {
        this.#news = false;
        resolve({ value: { user: this.user, online: this.online }, done: false });
      } else if (this.#end.error) {
        reject(this.#end.error);
        this.#end = {};
      } else {
        resolve({ value: undefined, done: true });
      }
    }
  }
}
