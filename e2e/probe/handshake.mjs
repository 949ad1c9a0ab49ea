// Paths, the handshake, and what comes first.

import http from 'node:http';
import https from 'node:https';
import { webSocket } from '../clients/endpoint.mjs';
import { within } from '../clients/wait.mjs';
import { at, ms, now, row, shake, spread } from './client.mjs';

const CONNECTS = 20;
/** The longest URL that API Gateway takes, as a request target: path and query. */
const MAX_URL = 4096;

/** @returns {Promise<string[][]>} */
export async function handshake(endpoint) {
  const given = webSocket(endpoint, {}).pathname;
  const other = given.endsWith('/') ? given.slice(0, -1) : `${given}/`;
  const below = `${given.replace(/\/$/, '')}/x`;
  const slash = other.length > given.length ? 'path with a slash at the end' : 'path without the slash at the end';
  return [
    await row('path as given', () => status(at(endpoint, given))),
    await row(slash, () => status(at(endpoint, other))),
    await row('path with a further segment', () => status(at(endpoint, below))),
    await row('GET without an upgrade', () => get(at(endpoint, given))),
    await row(`URL of ${MAX_URL} characters, path and query`, () => status(long(endpoint, MAX_URL))),
    await row(`URL of ${MAX_URL + 1} characters`, () => status(long(endpoint, MAX_URL + 1))),
    await row('permessage-deflate, when offered', () => deflate(at(endpoint, given))),
  ];
}

async function status(url) {
  const { status, socket } = await shake(url);
  socket?.close();
  return String(status);
}

function get(url) {
  const { request } = url.protocol === 'wss:' ? https : http;
  const answer = new Promise((resolve, reject) => {
    const r = request(new URL(url.href.replace(/^ws/, 'http')), (response) => {
      resolve(String(response.statusCode));
      response.destroy();
    });
    r.on('error', reject);
    r.end();
  });
  return within(answer, 'the answer to a GET');
}

function long(endpoint, length) {
  const url = webSocket(endpoint, { token: '', fill: '' });
  url.searchParams.set('fill', 'x'.repeat(length - (url.pathname + url.search).length));
  return url;
}

async function deflate(url) {
  const { status, socket } = await shake(url, { perMessageDeflate: true });
  if (!socket) return String(status);
  const extensions = socket.extensions;
  socket.close();
  return extensions === '' ? 'not negotiated' : `negotiated: ${extensions}`;
}

/**
 * How long a connection cannot be reached once it is open: the first frame is posted as soon as the handshake has been
 * answered, and again while that is refused with 410.
 */
export async function greeting(endpoint) {
  const opening = [];
  const silence = [];
  for (let i = 0; i < CONNECTS; i++) {
    const begun = now();
    const { status, socket, opened, first } = await shake(at(endpoint, webSocket(endpoint, {}).pathname));
    if (!socket) throw new Error(`handshake answered ${status}`);
    opening.push(opened - begun);
    silence.push(await within(first, 'the first frame') - opened);
    socket.close();
  }
  return [
    ['handshake, until the 101', spread(opening)],
    ['from the 101 to the first frame', `${spread(silence)}, at most ${ms(Math.max(...silence))}`],
  ];
}
