// docs/first-call.md, followed to the letter: the files are those that it prints.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { keepConnections, launch, WAIT } from '../page/browser.mjs';

const { SERVER } = process.env;
const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const CLIENT = at('clients/js');
const KINDS = { '.html': 'text/html', '.js': 'text/javascript' };
const files = {};
let browser;
let server;
let origin;

before(async () => {
  const text = await readFile(at('docs/first-call.md'), 'utf8');
  for (const [, name, code] of text.matchAll(/^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$/gms)) files[name] = code;
  assert.deepEqual(Object.keys(files), ['call.html', 'call.js', 'socket.js', 'useSignaling.js', 'chat.jsx']);
  files['socket.html'] = files['call.html'].replace('./owt-signal-client/index.js', './socket.js');
  assert.notEqual(files['socket.html'], files['call.html'], 'the import map as the text says');
  files['chat.html'] = '<!doctype html><div id="root"></div><script type="module" src="chat.js"></script>';
  files['chat.js'] = await bundle();

  server = createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://localhost:${server.address().port}`;
  browser = await launch(`MAP localhost:8095 ${new URL(SERVER).host}`);
});
after(async () => {
  await browser?.close();
  server?.close();
});

async function serve({ url }, response) {
  const path = new URL(url, origin).pathname.slice(1);
  const [folder, name] = path.split('/');
  const body = files[path]
    || (folder === 'owt-signal-client' && await readFile(join(CLIENT, name)).catch(() => undefined))
    || (path === 'socket.io.esm.min.js' && await readFile(at('e2e/node_modules/socket.io-client-4/dist/socket.io.esm.min.js')));
  response.writeHead(body ? 200 : path === 'favicon.ico' ? 204 : 404, { 'Content-Type': KINDS[extname(path)] ?? 'text/plain' });
  response.end(body || undefined);
}

/** The React example, as an app is built. */
async function bundle() {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: files['chat.jsx'], loader: 'jsx', resolveDir: at('e2e') },
    alias: { 'owt-signal-client': join(CLIENT, 'index.js') },
    plugins: [{
      name: 'printed',
      setup(build) {
        build.onResolve({ filter: /^\.\/useSignaling\.js$/ }, ({ path }) => ({ path, namespace: 'printed' }));
        build.onLoad({ filter: /./, namespace: 'printed' }, () => ({ contents: files['useSignaling.js'], resolveDir: at('e2e') }));
      },
    }],
    bundle: true, write: false, format: 'esm', jsx: 'automatic', jsxDev: true, define: { 'process.env.NODE_ENV': '"development"' },
  });
  return outputFiles[0].text;
}

/** Somebody at a page, in a browser of their own. */
async function person(t, page, me, peer) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const tab = await context.newPage();
  tab.setDefaultTimeout(WAIT);
  tab.complaints = [];
  tab.on('console', (m) => ['error', 'warning'].includes(m.type()) && tab.complaints.push(m.text()));
  tab.on('pageerror', (e) => tab.complaints.push(e.message));
  await tab.addInitScript(keepConnections);
  await tab.goto(`${origin}/${page}?${new URLSearchParams({ me, peer })}`);
  return tab;
}

const pressing = (tab, name) => tab.getByRole('button', { name }).click();
/** Waits until a text is to be seen. */
async function sees(tab, text) {
  await tab.getByText(text, { exact: typeof text === 'string' }).waitFor().catch(async (error) => {
    throw new Error(`${await tab.locator('body').innerText()}; ${tab.complaints}`, { cause: error });
  });
}

/** Waits until the other side's picture moves. */
async function watches(tab, peer) {
  await sees(tab, `In a call with ${peer}`);
  const time = await tab.evaluate(() => document.getElementById('remote').currentTime);
  await tab.waitForFunction((since) => {
    const video = document.getElementById('remote');
    return video.videoWidth > 0 && video.currentTime > since;
  }, time);
}

/** Has the connection of a call fail, as far as the page can tell. Resolves with whether it was negotiated anew. */
const fails = (tab) => tab.evaluate(async () => {
  const pc = globalThis.connections.at(-1);
  const ufrag = () => /a=ice-ufrag:(.*)/.exec(pc.localDescription.sdp)[1];
  const before = ufrag();
  const anew = new Promise((resolve) => { pc.addEventListener('signalingstatechange', () => pc.signalingState === 'stable' && resolve()); });
  Object.defineProperty(pc, 'connectionState', { value: 'failed', configurable: true });
  pc.dispatchEvent(new Event('connectionstatechange'));
  delete pc.connectionState;
  await anew;
  return before !== ufrag();
});

for (const [name, pages] of Object.entries({
  'clients/js': ['call.html', 'call.html'],
  'Socket.IO alone, with clients/js': ['socket.html', 'call.html'],
})) {
  it(`a call: ${name}`, async (t) => {
    const [a, b] = [`alice of ${name}`, `bob of ${name}`];
    const alice = await person(t, pages[0], a, b);
    await sees(alice, `Connected as ${a}`);
    await pressing(alice, 'Call');
    await sees(alice, /is not online/);

    const bob = await person(t, pages[1], b, a);
    await sees(bob, `Connected as ${b}`);
    await pressing(bob, 'Call');
    await Promise.all([watches(alice, b), watches(bob, a)]);
    assert.ok(await fails(bob), 'ICE is restarted');
    await Promise.all([watches(alice, b), watches(bob, a)]);

    await pressing(bob, 'Hang up');
    await sees(alice, `${b} has hung up`);
    await Promise.all([pressing(alice, 'Call'), pressing(bob, 'Call')]);
    await Promise.all([watches(alice, b), watches(bob, a)]);
    for (const tab of [alice, bob]) assert.deepEqual(tab.complaints, []);
  });
}

it('a call that is hung up in the middle of an answer, and another', async (t) => {
  const alice = await person(t, 'call.html', 'ada', 'bo');
  const bob = await person(t, 'call.html', 'bo', 'ada');
  await Promise.all([sees(alice, 'Connected as ada'), sees(bob, 'Connected as bo')]);
  await bob.evaluate(() => { // what a browser is about when its connection is closed never settles
    const add = RTCPeerConnection.prototype.addIceCandidate;
    RTCPeerConnection.prototype.addIceCandidate = function (candidate) {
      RTCPeerConnection.prototype.addIceCandidate = add;
      const adding = add.call(this, candidate);
      document.getElementById('hangup').click();
      return adding;
    };
  });
  await pressing(alice, 'Call');
  await sees(alice, 'bo has hung up');
  await sees(bob, 'You have hung up');
  await pressing(alice, 'Call');
  await Promise.all([watches(alice, 'bo'), watches(bob, 'ada')]);
  for (const tab of [alice, bob]) assert.deepEqual(tab.complaints, []);
});

it('a chat in React, in StrictMode', async (t) => {
  const alice = await person(t, 'chat.html', 'ann', 'ben');
  await sees(alice, 'connected');
  const bob = await person(t, 'chat.html', 'ben', 'ann');
  await sees(bob, 'connected');
  for (const [tab, name] of [[alice, 'ann'], [bob, 'ben']]) {
    await tab.getByLabel('Message').fill(`I am ${name}`);
    await tab.getByLabel('Message').press('Enter');
    await Promise.all([alice, bob].map((one) => sees(one, `${name}: I am ${name}`)));
  }
  for (const { complaints } of [alice, bob]) assert.deepEqual(complaints, []);
});
