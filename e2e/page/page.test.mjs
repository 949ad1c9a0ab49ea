// The page that the server shows at /: a call between two browsers.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jwt } from '../jsclient/jwt.mjs';
import { Proxy } from '../jsclient/proxy.mjs';
import { launch, Person, talk } from './browser.mjs';

const { SERVER, SECURE, FAULTS } = process.env;
const { STRICT, TOKENS, SECRET } = process.env; // servers that take another origin alone, and tokens under a secret
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const each = (people, act) => Promise.all(people.map(act));
const clean = (...people) => people.forEach((p) => assert.deepEqual(p.complaints, [], p.name));

/** Two names that nobody else has, in a test. */
let pairs = 0;
const names = () => [`alice${++pairs}`, `bob${pairs}`];

describe('a call', { concurrency: 2 }, () => {
  for (const [over, address] of [['http', SERVER], ['https', SECURE]]) {
    it(`picture, sound and chat, over ${over}`, { skip: !address || Boolean(FAULTS && over === 'https') }, async (t) => {
      const [alice, bob] = await each(names(), (name) => Person.as(t, browser, address, name));
      await talk(alice, bob);
      await alice.say('Can you see me?');
      await bob.hears(alice.name, 'Can you see me?');
      await bob.say('<b>Yes</b> 👋');
      await alice.hears(bob.name, '<b>Yes</b> 👋');
      const volume = await bob.page.evaluate(() => document.getElementById('remote').srcObject.getAudioTracks().length);
      assert.equal(volume, 1, 'sound');

      await bob.button('Mute').press('Enter');
      assert.equal(await bob.button('Mute').getAttribute('aria-pressed'), 'true');
      await alice.sees(`${bob.name}: muted`);
      await bob.button('Camera off').press('Enter');
      await alice.sees(`${bob.name}: muted, camera off`);
      await bob.button('Full screen').press('Enter');
      await bob.page.waitForFunction(() => document.fullscreenElement?.id === 'talk');
      await bob.button('Hang up').press('Enter');
      await bob.page.waitForFunction(() => !document.fullscreenElement);
      await alice.sees(`${bob.name} hung up.`);
      await alice.button('Dismiss').press('Enter');
      assert.equal(await alice.page.locator('#notice > .notice').isHidden(), true);
      await bob.sees(`You hung up on ${alice.name}`);
      for (const { page } of [alice, bob]) {
        assert.equal(await page.evaluate(() => document.getElementById('remote').srcObject), null);
        assert.equal(await page.getByLabel('Message', { exact: true }).isDisabled(), true);
      }

      const sent = (await alice.frames()).filter((f) => f.direction === '→' && f.peer === bob.name && f.number !== '');
      assert.deepEqual(sent.map((f) => f.number), sent.map((_, i) => String(i + 1)));
      assert.equal(sent[0].type, 'invite');
      assert.ok(sent.every((f) => /^[\d.]+ ms$/.test(f.latency)), JSON.stringify(sent));
      const got = (await alice.frames()).filter((f) => f.direction === '←' && f.peer === bob.name && f.number !== '');
      assert.ok(got.length > 2 && got.every((f, i) => i === 0 || Number(f.number) === Number(got[i - 1].number) + 1), JSON.stringify(got));
      assert.ok(got.some((f) => f.type === 'offer' || f.type === 'answer'));
      for (const { time } of got) assert.match(time, /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}$/);

      await talk(bob, alice);
      clean(alice, bob);
    });
  }

  it('of both at the same time is one call', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    await Promise.all([alice.lookFor(bob.name), bob.lookFor(alice.name)]);
    await each([alice, bob], ({ page }) => page.keyboard.press('Enter'));
    await Promise.all([alice.watches(bob.name), bob.watches(alice.name)]);
    await alice.say('Hello');
    await bob.hears(alice.name, 'Hello');
    clean(alice, bob);
  });

  if (FAULTS) return;

  it('offers of both at the same time end in one connection', async (t) => {
    const { page, complaints } = await Person.at(t, browser, SERVER);
    const times = await page.evaluate(async () => {
      const { Peer } = await import('/.page/peer.js');
      // Ordered signaling that takes its time, so that offers meet at all stages.
      const once = (delay) => new Promise((resolve, reject) => {
        const began = performance.now();
        setTimeout(reject, 60_000, new Error(`no connection with ${delay} ms`));
        const peers = [];
        for (const me of [0, 1]) {
          let last = Promise.resolve();
          const send = (message) => {
            const text = JSON.stringify(message);
            last = Promise.all([last, new Promise((sent) => setTimeout(sent, delay))]).then(() => peers[1 - me].receive(JSON.parse(text)));
          };
          peers[me] = new Peer({ send, polite: me === 0, stream: null, offers: true });
          peers[me].onchatopen = () => {
            if (!peers.every((p) => p.chatting)) return;
            peers.forEach((p) => p.close());
            resolve(Math.round(performance.now() - began));
          };
        }
      });
      const times = [];
      for (const delay of [0, 1, 2, 4, 8, 16, 32, 64]) times.push(await once(delay));
      return times;
    });
    t.diagnostic(`${times} ms`);
    assert.deepEqual(complaints, []);
  });

  it('is restored with the ICE servers of then', async (t) => {
    const { page, complaints } = await Person.at(t, browser, SERVER);
    const urls = await page.evaluate(async () => {
      const { Peer } = await import('/.page/peer.js');
      const made = globalThis.connections;
      const peers = [];
      const open = new Promise((resolve) => {
        for (const me of [0, 1]) {
          const send = (message) => peers[1 - me].receive(JSON.parse(JSON.stringify(message)));
          const ice = async () => [{ urls: `stun:127.0.0.1:${me + 1}` }];
          peers[me] = new Peer({ send, polite: me === 0, stream: null, iceServers: [], ice, offers: me === 1 });
          peers[me].onchatopen = () => peers.every((p) => p.chatting) && resolve();
        }
      });
      await open;
      const anew = new Promise((resolve) => {
        made[1].addEventListener('signalingstatechange', ({ target }) => target.signalingState === 'stable' && resolve());
      });
      const ufrag = () => /a=ice-ufrag:(.*)/.exec(made[1].localDescription.sdp)[1];
      const before = ufrag();
      peers[1].resync();
      await anew;
      peers.forEach((p) => p.close());
      return [before !== ufrag(), ...made.map((pc) => pc.getConfiguration().iceServers.flatMap((s) => s.urls))];
    });
    assert.deepEqual(urls, [true, [], ['stun:127.0.0.1:2']]);
    assert.deepEqual(complaints, []);
  });

  it('is declined, or refused when there is another', async (t) => {
    const [a, b] = names();
    const [alice, bob, carol] = await each([a, b, `carol of ${a}`], (name) => Person.as(t, browser, SERVER, name));
    await alice.call(bob.name);
    await bob.button('Decline').press('Enter');
    await alice.sees(`${bob.name} declined.`);
    await talk(alice, bob);
    await carol.call(alice.name);
    await carol.sees(`${alice.name} is in another call.`);
    await alice.watches(bob.name);
    clean(alice, bob, carol);
  });

  it('is made by a link that the callee has shared', async (t) => {
    const [a, b] = names();
    const bob = await Person.as(t, browser, SERVER, `${b} & Söhne`);
    const alice = await Person.as(t, browser, await bob.page.locator('#link').getAttribute('href'), a);
    await alice.sees(`${bob.name} is online.`);
    await alice.page.keyboard.press('Enter');
    await bob.answer(alice.name);
    await alice.watches(bob.name);
    clean(alice, bob);
  });

  it('is made with the devices that one has chosen, and looked at before', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    const own = () => alice.page.evaluate(() => document.getElementById('local').srcObject.getTracks().map((track) => {
      const { deviceId } = track.getSettings();
      return { kind: track.kind, deviceId, enabled: track.enabled };
    }));
    await alice.button('Preview').press('Enter');
    await alice.sees('Only you see this');
    const moves = () => document.getElementById('local').videoWidth > 0 && document.getElementById('level').value > 0;
    await alice.page.waitForFunction(moves);
    const first = await alice.page.evaluateHandle(() => document.getElementById('local').srcObject.getVideoTracks()[0]);
    const devices = await alice.field('Camera').locator('option').evaluateAll((all) => all.map(({ label, value }) => ({ label, value })));
    assert.deepEqual(devices.map(({ label }) => label.replace(/\d+/, 'n')), ['Default', 'fake_device_n', 'fake_device_n', 'None']);
    const { deviceId } = (await own()).find(({ kind }) => kind === 'video');
    const other = devices.slice(1, 3).find(({ value }) => value !== deviceId);
    await alice.field('Camera').selectOption(other.label);
    await alice.page.waitForFunction(
      (id) => document.getElementById('local').srcObject?.getVideoTracks()[0].getSettings().deviceId === id, other.value);
    assert.equal(await first.evaluate((track) => track.readyState), 'ended');
    await alice.field('Microphone').selectOption('None');
    await alice.page.waitForFunction(() => document.getElementById('local').srcObject?.getTracks().length === 1);
    await alice.button('Camera off').press('Enter');

    await alice.call(bob.name);
    await bob.answer(alice.name);
    await bob.sees(`${alice.name}: camera off`);
    assert.deepEqual(await own(), [{ kind: 'video', deviceId: other.value, enabled: false }]);
    await alice.button('Camera off').press('Enter');
    await bob.watches(alice.name);
    assert.equal(await alice.button('Preview').isHidden(), true);
    await bob.button('Hang up').press('Enter');
    await alice.sees(`${bob.name} hung up.`);

    await alice.button('Preview').press('Enter');
    await alice.sees('Only you see this');
    await alice.button('Preview').press('Enter');
    await alice.page.waitForFunction(() => !document.getElementById('local').srcObject);
    clean(alice, bob);
  });

  it('works without a camera: one can look, listen and chat', async (t) => {
    const address = new URL(SERVER);
    address.hostname = 'somewhere.test'; // of no secure context, so that the page gets no camera
    const [a, b] = names();
    const [alice, bob] = await Promise.all([Person.as(t, browser, address.href, a), Person.as(t, browser, SERVER, b)]);
    await alice.call(bob.name);
    await bob.answer(alice.name);
    await alice.watches(bob.name);
    await alice.sees(/Browsers give a page its camera only over https/);
    const link = await alice.page.getByRole('link', { name: 'Open this page over https' }).getAttribute('href');
    assert.equal(link, `https://somewhere.test:${new URL(SECURE).port}/`);
    await alice.say('I see you');
    await bob.hears(alice.name, 'I see you');
    clean(alice, bob);
  });
});

it('presence is told, not asked for', { skip: Boolean(FAULTS) }, async (t) => {
  const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
  await alice.page.getByLabel('Show pings and presence').check();
  await alice.lookFor(bob.name);
  await bob.button('Disconnect').press('Enter');
  await alice.sees(`${bob.name} is offline.`);
  await bob.connect();
  await alice.sees(`${bob.name} is online.`);
  await alice.field('Who to call').fill('');
  await alice.sees('Whose name? You will see whether they are there.');
  await alice.sees('unwatch');
  const about = (await alice.frames()).filter(({ peer }) => peer === bob.name);
  const told = about.map(({ direction, type, latency }) => `${direction} ${type} ${latency.replace(/(ended )?[\d.]+ ms/, 'ms')}`);
  assert.deepEqual(told.filter((what, i) => what !== told[i - 1]), // a server may tell the same twice
    ['→ watch on ms', '← presence off', '← presence on', '→ unwatch ms']);
  clean(alice, bob);
});

describe('what does not go well is said', { skip: Boolean(FAULTS), concurrency: 3 }, () => {
  it('the callee is offline', async (t) => {
    const alice = await Person.as(t, browser, SERVER, names()[0]);
    await alice.field('Who to call').fill('nobody');
    await alice.sees('nobody is offline.');
    await alice.page.keyboard.press('Enter');
    await alice.page.locator('#notice').getByText('nobody is offline.').waitFor();
    assert.equal(await alice.button('Hang up').isDisabled(), true);
    clean(alice);
  });

  it('a call that nobody answers is missed', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    const title = await bob.page.title();
    await bob.page.evaluate(() => {
      window.tones = [];
      const { start } = AudioScheduledSourceNode.prototype;
      AudioScheduledSourceNode.prototype.start = function (...args) {
        window.tones.push(this.context);
        start.apply(this, args);
      };
    });
    await bob.field('Who to call').blur();
    await alice.call(bob.name);
    await bob.page.waitForFunction(() => document.activeElement.id === 'answer');
    assert.equal(await bob.page.title(), `${alice.name} is calling`);
    await bob.page.waitForFunction(() => window.tones.length > 2 && window.tones.every(({ state }) => state === 'running')); // and again
    await alice.button('Hang up').press('Enter');
    await bob.sees(`You missed a call from ${alice.name}.`);
    assert.equal(await bob.page.title(), title);
    assert.ok(await bob.page.evaluate(() => window.tones.every(({ state }) => state === 'closed')));
    clean(alice, bob);
  });

  it('a takeover ends the call on the other side at once', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    await talk(alice, bob);
    const again = await Person.as(t, browser, SERVER, alice.name);
    await alice.button('Take the name back').waitFor();
    await bob.sees(`${alice.name} hung up.`);
    assert.equal(await bob.page.locator('#presence').textContent(), `${alice.name} is online.`); // so it was not by that
    clean(alice, bob, again);
  });

  it('the server refuses the origin', { skip: !STRICT }, async (t) => {
    const alice = await Person.at(t, browser, STRICT, names()[0]);
    await alice.field('Your name').fill(alice.name);
    await alice.page.keyboard.press('Enter');
    await alice.sees(/^The server refuses this page's origin, http:/);
  });

  it('who may not watch is told so, and calls all the same', { skip: !TOKENS }, async (t) => {
    const alice = await Person.at(t, browser, TOKENS);
    await alice.sees('The server asks who you are: it takes no names, but tokens.');
    await alice.field('Your token').fill(jwt({ sub: 'alice', aud: 'owt', watch: 'none' }, 600, SECRET));
    await alice.page.keyboard.press('Enter');
    await alice.sees('The server calls you alice.');
    await alice.field('Who to call').fill('bob');
    await alice.sees('The server does not tell whether bob is online.');
    await alice.page.keyboard.press('Enter');
    await alice.page.locator('#notice').getByText('bob is offline.').waitFor();
    clean(alice);
  });

  it('the callee closes the page', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    await talk(alice, bob);
    await bob.page.close({ runBeforeUnload: false });
    await alice.page.locator('#notice').getByText(new RegExp(`${bob.name} (hung up|has gone)\\.`)).waitFor();
    await alice.sees(`${bob.name} is offline.`);
    clean(alice);
  });

  it('the callee is gone without a word', async (t) => {
    const [alice, bob] = await each(names(), (name) => Person.as(t, browser, SERVER, name));
    await talk(alice, bob);
    const crashed = bob.page.waitForEvent('crash');
    bob.page.goto('chrome://crash').catch(() => {});
    await crashed;
    await alice.sees(`${bob.name} is offline.`);
    await alice.sees(`${bob.name} has gone.`);
    clean(alice);
  });

  it('the same name is taken over in a second tab', async (t) => {
    const alice = await Person.as(t, browser, SERVER, names()[0]);
    await alice.page.setViewportSize({ width: 390, height: 600 });
    await alice.page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const again = await Person.as(t, browser, SERVER, alice.name);
    await alice.sees(`Another tab or device has connected as ${alice.name}. This one has left.`);
    await alice.sees('Not connected');
    await sleep(1000);
    await again.sees('Connected');
    for (const shown of [alice.page.locator('#notice p'), alice.button('Take the name back')]) assert.equal(await alice.inSight(shown), true);
    await alice.button('Take the name back').press('Enter');
    await alice.sees('Connected');
    await again.sees(`Another tab or device has connected as ${alice.name}. This one has left.`);
    clean(alice, again);
  });

  it('the connection to the server is lost, and back; the call goes on', async (t) => {
    const network = await Proxy.before(SERVER);
    t.after(() => network.close());
    const [a, b] = names();
    const [alice, bob] = await Promise.all([Person.as(t, browser, network.origin, a), Person.as(t, browser, SERVER, b)]);
    await talk(alice, bob);
    clean(alice, bob);
    network.down = true;
    network.cut();
    await alice.sees('The connection to the server is lost. Trying again…');
    for (const id of ['state', 'presence']) await alice.page.locator(`#${id}`, { hasText: 'Reconnecting…' }).waitFor();
    await alice.watches(bob.name);
    network.down = false;
    await alice.sees('The connection to the server is back.');
    await bob.button('Hang up').press('Enter');
    await alice.sees(`${bob.name} hung up.`);
    clean(bob);
  });

  it('one cannot call oneself', async (t) => {
    const alice = await Person.as(t, browser, SERVER, names()[0]);
    await alice.field('Who to call').fill(alice.name);
    await alice.sees('That is you.');
    await alice.page.keyboard.press('Enter');
    await alice.sees(/That is you. Open this page again/);
    clean(alice);
  });
});

describe('for everybody', { skip: Boolean(FAULTS), concurrency: 3 }, () => {
  it('the keyboard gets everywhere, in order', async (t) => {
    const alice = await Person.as(t, browser, SERVER, names()[0]);
    const { page } = alice;
    await alice.field('Who to call').fill('bob');
    const stops = [];
    for (let i = 0; i < 24; i++) {
      await page.keyboard.press('Tab');
      stops.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.tagName));
    }
    const order = ['skip', 'name', 'connect', 'link', 'callee', 'call', 'camera', 'microphone', 'preview', 'said', 'small', 'clear', 'scroll'];
    assert.deepEqual(stops.slice(stops.indexOf('skip')).slice(0, order.length), order);
  });

  it('every control has a name, and what changes is read out', async (t) => {
    const { page } = await Person.at(t, browser, SERVER);
    const nameless = await page.locator('button, input, select, meter, video, [role], [tabindex]').evaluateAll((all) => all
      .filter((e) => !e.closest('[hidden]') && e.tabIndex >= 0 && !(e.labels?.length || e.textContent.trim() || e.ariaLabel || e.getAttribute('aria-labelledby')))
      .map((e) => e.outerHTML));
    assert.deepEqual(nameless, []);
    for (const id of ['state', 'notice', 'presence', 'phase']) assert.equal(await page.locator(`#${id}`).getAttribute('role'), 'status');
  });

  for (const width of [320, 390, 820, 1280]) {
    it(`nothing is cut off at a width of ${width}`, async (t) => {
      const { page } = await Person.at(t, browser, SERVER);
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
      for (const name of ['Connect', 'Call', 'Preview', 'Mute', 'Camera off', 'Hang up', 'Send', 'Clear']) {
        const box = await page.getByRole('button', { name, exact: true }).boundingBox();
        assert.ok(box.x >= 0 && box.x + box.width <= width, `${name} at ${JSON.stringify(box)}`);
      }
    });
  }

  for (const colorScheme of ['light', 'dark']) {
    it(`text can be read when it is ${colorScheme}`, async (t) => {
      const alice = await Person.as(t, browser, SERVER, names()[0]);
      await alice.page.emulateMedia({ colorScheme });
      await alice.field('Who to call').fill('nobody');
      await alice.sees('nobody is offline.');
      // WCAG 2.2, 1.4.3: the contrast of text is at least 4.5 to 1; disabled controls may have less.
      const pale = await alice.page.evaluate(() => {
        const channels = (color) => { // of any notation, as it is painted
          const canvas = new OffscreenCanvas(1, 1).getContext('2d');
          canvas.fillStyle = color;
          canvas.fillRect(0, 0, 1, 1);
          return canvas.getImageData(0, 0, 1, 1).data;
        };
        const light = (color) => {
          const [r, g, b] = [...channels(color)].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (e) => {
          const color = getComputedStyle(e).backgroundColor;
          return channels(color)[3] === 255 ? color : e.parentElement ? ground(e.parentElement) : 'white';
        };
        return [...document.querySelectorAll('body *')]
          .filter((e) => !e.closest('[hidden], :disabled, script, noscript') && e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
          .map((e) => {
            const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
            return { text: e.textContent.trim().slice(0, 30), contrast: (a + 0.05) / (b + 0.05) };
          })
          .filter(({ contrast }) => contrast < 4.5);
      });
      assert.deepEqual(pale, []);
    });
  }
});
