export { SignalingChannel } from './channel.js';
export { SignalingClient } from './client.js';
export { Code, SignalError } from './codes.js';
export { DEFAULTS } from './options.js';
