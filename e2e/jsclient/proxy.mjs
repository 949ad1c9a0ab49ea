// A network that can fail: a TCP proxy before the server.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Proxy {
  #server;
  #target;
  #pairs = new Set(); // that forward
  #frozen = new Set();
  /** New connections are refused. */
  down = false;
  /** New connections are taken, and nothing comes through, as if packets were lost. */
  swallows = false;

  /** @param {string} origin of the server, as in http://127.0.0.1:8095 */
  static async before(origin) {
    const proxy = new Proxy();
    proxy.#target = new URL(origin);
    proxy.#server = createServer((near) => proxy.#join(near));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  #join(near) {
    if (this.down) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.#target.port, this.#target.hostname);
    const pair = { near, far };
    this.#pairs.add(pair);
    if (this.swallows) queueMicrotask(() => this.#freeze(pair));
    for (const [from, to] of [[near, far], [far, near]]) {
      from.setNoDelay(true);
      from.on('data', (bytes) => to.write(bytes));
      from.on('end', () => to.end());
      from.on('error', () => {}); // closes
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
        this.#frozen.delete(pair);
      });
    }
  }

  /** Cuts every connection, without a word of WebSocket's to either end. */
  cut() {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Every connection stays open, and nothing comes through any more, either way. New ones do work. */
  freeze() {
    for (const pair of this.#pairs) this.#freeze(pair);
  }

  #freeze(pair) {
    for (const socket of [pair.near, pair.far]) {
      socket.pause();
      socket.removeAllListeners('data');
    }
    this.#pairs.delete(pair);
    this.#frozen.add(pair);
  }

  close() {
    this.cut();
    for (const { near, far } of this.#frozen) {
      near.destroy();
      far.destroy();
    }
    this.#server.close();
  }
}
