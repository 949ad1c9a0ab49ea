import { Code, SignalError } from './codes.js';

/** The longest name of a user, in bytes of UTF-8 (docs/protocol.md, What differs). */
export const MAX_NAME = 256;

const utf8 = new TextEncoder();

/** Throws unless it is so. */
function want(is, text) {
  if (!is) throw new SignalError(Code.ILLEGAL_ARGUMENT, text);
}

/** Throws if an object has members that have no meaning: they are likely misspelt. */
export function checkMembers(what, given, known) {
  want(typeof given === 'object' && given !== null, `${what} must be an object`);
  for (const name of Object.keys(given)) want(known.includes(name), `${what}: there is no ${name}; there is ${known.join(', ')}`);
}

/** Throws unless it is the name of a user. */
export function checkName(what, name) {
  want(typeof name === 'string' && name !== '', `${what} must be the name of a user, not ${name === '' ? 'empty' : String(name)}`);
  want(utf8.encode(name).length <= MAX_NAME, `${what} is longer than ${MAX_NAME} bytes`);
  want((name.isWellFormed?.() ?? true) && !name.includes('\uFFFD'), `${what} is not well-formed text`);
}

/** JSON of a message's data; throws if it has none. */
export function checkData(data) {
  let text;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    throw new SignalError(Code.ILLEGAL_ARGUMENT, `data cannot be JSON: ${cause.message}`, { cause });
  }
  want(text !== undefined, `data must be JSON, not ${typeof data}`);
  return text;
}

/** Throws unless it is a token: none, a text, or a function that brings one. */
export function checkToken(token) {
  want(token === undefined || typeof token === 'function' || (typeof token === 'string' && token !== ''),
    `token must be a text or a function that brings one; leave it out to be anonymous, it is ${token === '' ? 'empty' : typeof token}`);
}

/** Throws unless options have the types of the defaults. */
export function checkOptions(options, defaults) {
  const others = { WebSocket: 'function', clock: 'object', random: 'function' };
  checkMembers('options', options, [...Object.keys(defaults), ...Object.keys(others)]);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const type = others[name] ?? typeof defaults[name];
    want(typeof value === type && !(value < 0) && !Number.isNaN(value), `options: ${name} must be a ${type === 'number' ? 'number of at least 0' : type}`);
  }
}
