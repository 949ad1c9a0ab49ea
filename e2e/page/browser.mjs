// The page in a real browser, driven as people do: by what is written on it, and by the keyboard.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/** How long is waited for what has to come, in ms, on a machine under load. */
export const WAIT = 30_000;

/** Debian's Chromium, with two cameras and microphones that are none. Rules are for names of hosts, as --host-resolver-rules takes them. */
export const launch = (...rules) => chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream=fps=5,device-count=2', '--use-fake-ui-for-media-stream',
    `--host-resolver-rules=${['MAP *.test 127.0.0.1', ...rules].join(', ')}`,
  ],
});

/** For an init script: the page has the connections that it makes in `connections`. */
export function keepConnections() {
  globalThis.connections = [];
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(how) {
      super(how);
      globalThis.connections.push(this);
    }
  };
}

/** Somebody at the page: a browser of their own, with nothing in common with others. */
export class Person {
  /** What the browser complains of. */
  complaints = [];

  static async at(t, browser, address, name) {
    const person = new Person();
    person.name = name;
    person.context = await browser.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
    t.after(() => person.context.close());
    person.page = await person.context.newPage();
    person.page.setDefaultTimeout(WAIT);
    person.page.on('console', (m) => ['error', 'warning'].includes(m.type()) && person.complaints.push(m.text()));
    person.page.on('pageerror', (e) => person.complaints.push(e.message));
    await person.page.addInitScript(keepConnections);
    const response = await person.page.goto(address);
    assert.match(response.headers()['content-security-policy'], /default-src 'none'; script-src 'self';/);
    return person;
  }

  /** Somebody who has connected. */
  static async as(t, browser, address, name) {
    const person = await Person.at(t, browser, address, name);
    await person.connect();
    return person;
  }

  field(label) {
    return this.page.getByLabel(label, { exact: true });
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  async connect() {
    await this.field('Your name').fill(this.name);
    await this.page.keyboard.press('Enter');
    await this.sees('Connected');
  }

  /** Waits until a text is to be seen. */
  sees(text) {
    return this.page.getByText(text, { exact: typeof text === 'string' }).first().waitFor();
  }

  async lookFor(name) {
    await this.field('Who to call').fill(name);
    await this.sees(`${name} is online.`);
  }

  async call(name) {
    await this.lookFor(name);
    await this.page.keyboard.press('Enter');
  }

  async answer(name) {
    await this.page.getByRole('alert').getByText(`${name} is calling`).waitFor();
    await this.button('Answer').press('Enter');
  }

  /** Waits until the other side's picture moves. */
  async watches(name) {
    await this.sees(`In a call with ${name}`);
    await this.page.waitForFunction(async () => {
      const video = document.getElementById('remote');
      const [time, frames] = [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames];
      await new Promise((resolve) => setTimeout(resolve, 500));
      return video.videoWidth > 0 && video.currentTime > time && video.getVideoPlaybackQuality().totalVideoFrames > frames;
    });
  }

  async say(text) {
    await this.field('Message').fill(text);
    await this.page.keyboard.press('Enter');
  }

  hears(name, text) {
    return this.page.getByRole('log').getByRole('listitem').filter({ hasText: `${name}${text}` }).waitFor();
  }

  /** Whether an element is whole in the window. */
  inSight(locator) {
    return locator.evaluate((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return top >= 0 && bottom > top && bottom <= innerHeight;
    });
  }

  /** The frames that are listed, the oldest first. */
  async frames() {
    const rows = await this.page.getByRole('table').getByRole('row').evaluateAll(
      (all) => all.slice(1).map((row) => [...row.cells].map((cell) => cell.textContent)));
    return rows.reverse().map(([time, direction, type, number, peer, latency]) => ({ time, direction, type, number, peer, latency }));
  }
}

/** Two people in a call. */
export async function talk(alice, bob) {
  await alice.call(bob.name);
  await bob.answer(alice.name);
  await Promise.all([alice.watches(bob.name), bob.watches(alice.name)]);
}
