// OWT's signaling channel as its sample has it, in Node and in a page of another origin. With CHANNEL it is another file,
// such as OWT's own.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import vm from 'node:vm';
import { launch } from '../page/browser.mjs';
import { scenario, WELL } from './scenario.mjs';

const { SERVER, CHROMIUM, CHANNEL = new URL('channel.js', import.meta.url) } = process.env;
const require = createRequire(import.meta.url);
const clients = [
  { name: 'Socket.IO 2', module: 'socket.io-client-2', script: 'socket.io-client-2/dist/socket.io.js' },
  { name: 'Socket.IO 3', module: 'socket.io-client-3', script: 'socket.io-client-3/dist/socket.io.js' },
];
const run = () => randomBytes(4).toString('hex');
const source = (path) => readFile(new URL(`../node_modules/${path}`, import.meta.url), 'utf8');

describe('in Node', () => {
  for (const { name, module } of clients) {
    it(name, async () => {
      const library = require(module);
      const quiet = { ...console, log() {}, info() {}, error() {} };
      const context = vm.createContext({ io: library.io ?? library, setTimeout, clearTimeout, console: quiet });
      vm.runInContext(await readFile(CHANNEL, 'utf8'), context);
      const seen = await vm.runInContext(`(${scenario})`, context)({ host: SERVER, run: run() });
      assert.deepEqual([...seen], WELL);
    });
  }
});

describe('in a page of another origin', { skip: CHROMIUM ? false : 'there is no browser' }, () => {
  let browser;
  let pages;
  before(async () => {
    browser = await launch();
    pages = createServer(async (request, answer) => {
      const { pathname } = new URL(request.url, 'http://page');
      const script = clients.find(({ module }) => pathname === `/${module}.js`)?.script;
      answer.setHeader('Content-Type', pathname.endsWith('.js') ? 'text/javascript' : 'text/html');
      if (script) answer.end(await source(script));
      else if (pathname === '/channel.js') answer.end(await readFile(CHANNEL));
      else answer.end(`<!doctype html><script src="${pathname}.js"></script><script src="/channel.js"></script>`);
    });
    await new Promise((listening) => { pages.listen(0, '127.0.0.1', listening); });
  });
  after(async () => {
    await browser?.close();
    pages?.close();
  });

  for (const { name, module } of clients) {
    it(name, async (t) => {
      const context = await browser.newContext();
      t.after(() => context.close());
      const page = await context.newPage();
      const requests = [];
      page.on('request', (r) => requests.push(`${r.method()} ${new URL(r.url()).searchParams.get('transport')}`));
      await page.goto(`http://127.0.0.1:${pages.address().port}/${module}`);
      const host = SERVER.replace('127.0.0.1', 'localhost');
      const seen = await page.evaluate(([what, args]) => (0, eval)(`(${what})`)(args), [scenario.toString(), { host, run: run() }]);
      assert.deepEqual(seen, WELL);
      assert.ok(requests.includes('GET polling'), `no polling: ${requests}`);
    });
  }
});
