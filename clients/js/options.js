import { checkOptions } from './arguments.js';
import { systemClock } from './clock.js';

/** What can be set; times in ms. index.d.ts says what it means, ../SPEC.md why it is so. */
export const DEFAULTS = Object.freeze({
  connectTimeout: 10_000,
  heartbeat: 60_000,
  deadAfter: 6_000,
  ackTimeout: 2_000,
  maxQueued: 4096,
  retryFirst: false,
  reconnectFirst: 500,
  reconnectMost: 15_000,
  reconnectAttempts: 10,
  stableAfter: 5_000,
  renewAfter: 110 * 60_000,
  retireAfter: 10_000,
  gapWait: 3_000,
  grace: 20_000,
  farewell: 1_000,
});

/** All settings, by the options that are given; throws if one of them is not what it must be. */
export function settingsOf(options) {
  checkOptions(options, DEFAULTS);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { clock: systemClock, random: Math.random, ...DEFAULTS, ...given };
}
