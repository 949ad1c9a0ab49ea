import { Code, SignalError } from './codes.js';

/** The path where none is given: the local server's, and a custom domain's, for every OWT client. */
const PATH = '/socket.io/';

/**
 * The address of a server, as OWT clients are given it (http, https) or WebSocket clients (ws, wss).
 *
 * @param {string | URL} host
 * @returns {URL} an error is thrown if it is none
 */
export function address(host) {
  let url;
  try {
    url = new URL(host);
  } catch (cause) {
    throw new SignalError(Code.ILLEGAL_ARGUMENT, `url must be the server's address, as https://example.com, not ${host}`, { cause });
  }
  if (!/^(http|ws)s?:$/.test(url.protocol)) {
    throw new SignalError(Code.ILLEGAL_ARGUMENT, `url must begin with https, http, wss or ws, not ${url.protocol}`);
  }
  url.protocol = url.protocol.replace('http', 'ws');
  if (url.pathname === '/') url.pathname = PATH;
  url.hash = '';
  return url;
}

/** The same with the query parameters that have a value. */
export function withQuery(url, query) {
  const out = new URL(url);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) out.searchParams.set(name, value);
  }
  return out.href;
}
