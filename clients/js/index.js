export { SignalingChannel, DEFAULTS } from './channel.js';
export { Code } from './codes.js';
