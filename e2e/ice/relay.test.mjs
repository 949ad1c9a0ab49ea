// ICE servers with a real TURN server: real browsers that may only meet there do, and it refuses credentials that
// are not whole and new.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { four, join, json, three, two } from '../clients/clients.mjs';
import { name } from '../clients/endpoint.mjs';
import { launch, Person, talk } from '../page/browser.mjs';

const { SERVER, STUN, TURN, LIFETIME, USERS } = process.env;

/** What the server was told to say, but for the credentials. */
function wantServers({ iceServers, iceExpires }) {
  assert.equal(iceExpires, Number(LIFETIME));
  assert.deepEqual(iceServers.map(({ urls }) => urls), [[STUN], [TURN]]);
  const [, { username, credential }] = iceServers;
  const [, expires] = /^(\d+):[0-9a-f]{32}$/.exec(username);
  const left = Number(expires) - Date.now() / 1000;
  assert.ok(left > 0 && left <= iceExpires, `${left} s are left`);
  assert.equal(Buffer.from(credential, 'base64').length, 20);
  return username.split(':')[1];
}

const users = JSON.parse(USERS); // as TURN servers know them

describe('ICE servers', { concurrency: 4 }, () => {
  it('JSON: in welcome, and for who asks', async (t) => {
    for (const [user, known] of Object.entries(users)) {
      const client = await join(t, json, { token: user });
      const welcome = await client.journal.first('welcome');
      assert.equal(wantServers(welcome), known);
      client.write({ type: 'ice' });
      assert.equal(wantServers(await client.journal.first('ice')), known);
    }
  });

  for (const kind of [two, three, four]) {
    it(`${kind.name}: in the ack of an event, which has its place in the order`, async (t) => {
      const user = name('用户1');
      const client = await join(t, kind, { token: user });
      const sent = client.send(user, 'before');
      const asked = client.emit('ice-servers');
      const [first, [answer], then] = await Promise.all([sent, client.answer(asked, 'ICE servers'), client.send(user, 'after')]);
      wantServers(answer);
      assert.deepEqual([first, then], [0, 0]);
      assert.deepEqual(client.strays, []);
    });
  }
});

describe('a relay', () => {
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser.close());

  /** The browser, whose connections go by relays alone. */
  const relaying = {
    async newContext(options) {
      const context = await browser.newContext(options);
      await context.addInitScript(() => {
        window.connections = [];
        window.RTCPeerConnection = class extends RTCPeerConnection {
          constructor(configuration) {
            super({ ...configuration, iceTransportPolicy: 'relay' });
            window.connections.push(this);
          }
        };
      });
      return context;
    },
  };

  /** The kinds of the addresses by which a page has met another. */
  const met = ({ page }) => page.evaluate(async () => {
    const stats = await window.connections[0].getStats();
    const { selectedCandidatePairId: id } = [...stats.values()].find(({ type }) => type === 'transport');
    const { localCandidateId, remoteCandidateId } = stats.get(id);
    return [localCandidateId, remoteCandidateId].map((c) => stats.get(c).candidateType);
  });

  it('carries a call between two browsers that may meet nowhere else', async (t) => {
    const people = await Promise.all(['alice', 'bob'].map((name) => Person.as(t, relaying, SERVER, name)));
    await talk(...people);
    for (const person of people) assert.deepEqual(await met(person), ['relay', 'relay']);
  });

  /** How many relayed addresses a TURN server gives for credentials, and its errors. */
  const ask = (page, username, credential) => page.evaluate(async ([urls, username, credential]) => {
    const pc = new RTCPeerConnection({ iceServers: [{ urls, username, credential }], iceTransportPolicy: 'relay' });
    const found = { relayed: 0, errors: [] };
    const done = new Promise((resolve) => {
      pc.onicecandidate = ({ candidate }) => { if (candidate?.candidate) found.relayed++; };
      pc.onicecandidateerror = ({ errorCode }) => found.errors.push(errorCode);
      pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && resolve();
    });
    pc.createDataChannel('talk');
    await pc.setLocalDescription();
    await done;
    pc.close();
    return found;
  }, [TURN, username, credential]);

  it('is refused to credentials that are expired, forged, or of another user', async (t) => {
    const { page } = await Person.at(t, browser, SERVER);
    const carol = await join(t, json, { token: name('carol') });
    const [, { username, credential }] = (await carol.journal.first('welcome')).iceServers;
    const [expires, user] = username.split(':');
    const asked = {
      good: [username, credential],
      expired: JSON.parse(process.env.EXPIRED),
      forged: JSON.parse(process.env.FORGED),
      longer: [`${Number(expires) + 3600}:${user}`, credential],
      'of another user': [`${expires}:${users.bob}`, credential],
      'of no user': [expires, credential],
    };
    for (const [what, [username, credential]] of Object.entries(asked)) {
      const { relayed, errors } = await ask(page, username, credential);
      if (what === 'good') assert.ok(relayed > 0, `${what}: ${errors}`);
      else assert.ok(relayed === 0 && errors.length > 0 && errors.every((e) => e === 401), `${what}: ${relayed} relayed, errors ${errors}`);
    }
  });
});
