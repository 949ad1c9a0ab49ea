import { Code, SignalError } from './codes.js';

/**
 * The WebSocket where there is none yet: in Node 20 that of the package `ws`. Its name is no literal, so that no bundler looks for it
 * where it is not needed.
 */
export async function findWebSocket() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  const name = 'ws';
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).WebSocket;
  } catch (cause) {
    throw new SignalError(Code.NO_WEBSOCKET, 'there is no WebSocket here: install the package ws, or give one by the option WebSocket', { cause });
  }
}
