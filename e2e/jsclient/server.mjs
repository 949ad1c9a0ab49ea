// A server that can be killed, and started again where it was.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How long a start may take, in ms. */
const START = 20_000;

export class Server {
  #args;
  #process;
  #stderr = '';
  origin;

  /** @param {string[]} args */
  static async start(...args) {
    const server = new Server();
    server.#args = args;
    await server.#start('127.0.0.1:0');
    return server;
  }

  async #start(plain) {
    const { OWT_SIGNAL } = process.env;
    if (!OWT_SIGNAL) throw new Error('OWT_SIGNAL is to name the binary of the server');
    this.#process = spawn(OWT_SIGNAL, ['-plain', plain, '-secure', 'off', '-log', 'warn', ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process.stderr.on('data', (text) => { this.#stderr += text; });
    const lines = createInterface(this.#process.stdout);
    const signal = AbortSignal.timeout(START);
    signal.onabort = () => this.#process.kill('SIGKILL');
    for await (const line of lines) {
      const at = /(http:\/\/\S+)\/socket\.io\//.exec(line);
      if (!at) continue;
      signal.onabort = null;
      this.origin = at[1];
      this.#process.stdout.resume();
      return;
    }
    throw new Error(`the server did not say where it serves: ${this.#stderr}`);
  }

  /** Kills it, which it does not notice, and starts it again. */
  async restart() {
    await this.#end('SIGKILL');
    await this.#start(new URL(this.origin).host);
  }

  #end(signal) {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill(signal);
    return ended;
  }

  async close() {
    await this.#end('SIGINT');
    if (this.#stderr.includes('DATA RACE')) throw new Error(this.#stderr);
  }
}
