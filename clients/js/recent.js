/** A map that remembers so many keys, those that were set last. */
export class Recent {
  #most;
  #map = new Map();

  constructor(most) {
    this.#most = most;
  }

  get(key) {
    return this.#map.get(key);
  }

  set(key, value) {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > this.#most) this.#map.delete(this.#map.keys().next().value);
  }
}
