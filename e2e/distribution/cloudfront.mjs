// A stand-in for a CloudFront distribution: it runs the function of template.yaml on each request, as runtime 2.0 would,
// and sends it to the origin that the function chooses, as the template's policies have it. What else CloudFront does is
// not imitated.

import http from 'node:http';
import vm from 'node:vm';
import { parse } from 'acorn';

// From here on, by "JavaScript runtime 2.0 features for CloudFront Functions" and "Restrictions on CloudFront Functions"
// (CloudFront Developer Guide).
const FIRST_LINE = "import cf from 'cloudfront';\n";
const MAX_SIZE = 10 * 1024;

/** The function, which may be nothing that the runtime does not have: ES 5.1 and the module. */
export function compile(code) {
  if (Buffer.byteLength(code) > MAX_SIZE) throw new Error(`${code.length} bytes are too many`);
  if (!code.startsWith(FIRST_LINE)) throw new Error('the module must be imported by the first line');
  const body = code.slice(FIRST_LINE.length);
  parse(body, { ecmaVersion: 5 }); // throws for anything newer
  const chosen = [];
  const cf = {
    selectRequestOriginById(id) {
      if (arguments.length !== 1 || typeof id !== 'string') throw new TypeError('an id is expected');
      chosen.push(id);
    },
  };
  const context = vm.createContext(Object.assign(Object.create(null), { cf }), { codeGeneration: { strings: false, wasm: false } });
  const handler = vm.runInContext(`'use strict';\n${body}\nhandler;`, context);
  return (event) => {
    chosen.length = 0;
    const request = JSON.parse(JSON.stringify(handler(event)));
    if (chosen.length > 1) throw new Error(`origins ${chosen} were chosen`);
    return { request, origin: chosen[0] ?? 'socket' };
  };
}

/** A viewer-request event ("CloudFront Functions event structure"). */
export function event(method, url, headers) {
  const { pathname, searchParams } = new URL(url, 'http://distribution');
  const querystring = {};
  for (const [name, value] of searchParams) {
    if (querystring[name] === undefined) querystring[name] = { value };
    else (querystring[name].multiValue ??= [{ value: querystring[name].value }]).push({ value });
  }
  const lower = {};
  for (const [name, value] of Object.entries(headers)) lower[name.toLowerCase()] = { value: String(value) };
  return {
    version: '1.0',
    context: { distributionDomainName: 'd111111abcdef8.cloudfront.net', distributionId: 'E1', eventType: 'viewer-request', requestId: 'r' },
    viewer: { ip: '192.0.2.7' },
    request: { method, uri: pathname, querystring, headers: lower, cookies: {} },
  };
}

/** Serves a distribution with these origins, { socket: { port, headers }, lobby: … }, on a free port of the loopback. */
export async function serve(code, origins) {
  const run = compile(code);
  const seen = [];
  const to = (r) => {
    const { request, origin } = run(event(r.method, r.url, r.headers));
    const { port, headers } = origins[origin];
    const query = r.url.includes('?') ? r.url.slice(r.url.indexOf('?')) : '';
    seen.push({ method: r.method, url: r.url, origin, path: request.uri });
    return {
      host: '127.0.0.1', port, method: r.method, path: request.uri + query,
      headers: { ...r.headers, ...headers, host: `127.0.0.1:${port}`, 'x-forwarded-for': [r.headers['x-forwarded-for'], '192.0.2.7'].filter(Boolean).join(', ') },
    };
  };
  const server = http.createServer((r, w) => {
    const forward = http.request(to(r), (answer) => {
      w.writeHead(answer.statusCode, answer.headers);
      answer.pipe(w);
    });
    forward.on('error', () => w.destroy());
    w.on('close', () => forward.destroy());
    r.pipe(forward);
  });
  server.on('upgrade', (r, socket, head) => {
    const forward = http.request(to(r));
    const cut = () => { socket.destroy(); forward.destroy(); };
    forward.on('error', cut).on('response', (answer) => {
      socket.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nconnection: close\r\n\r\n`);
    }).on('upgrade', (answer, other, rest) => {
      const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`);
      if (rest.length) socket.write(rest);
      if (head.length) other.write(head);
      socket.on('error', cut).on('close', () => other.destroy()).pipe(other).on('error', cut).on('close', () => socket.destroy()).pipe(socket);
    });
    socket.on('error', cut);
    forward.end();
  });
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  return { seen, address: `http://127.0.0.1:${server.address().port}`, close: () => { server.close(); server.closeAllConnections(); } };
}
