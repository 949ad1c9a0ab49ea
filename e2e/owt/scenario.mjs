// What an OWT app does of its signaling channel, to be run where there is `io` and `SignalingChannel`: in Node, or in a page.

/** Returns what has happened, as text. It is sent to the page as its source, so it needs nothing from around it. */
export async function scenario({ host, run }) {
  const { io, SignalingChannel } = globalThis;
  const sockets = [];
  globalThis.io = (...args) => {
    const socket = io(...args);
    sockets.push(socket);
    return socket;
  };
  const WAIT = 30000;
  const within = (promise, what) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited for ${what}`)), WAIT);
    promise.then(resolve, reject).then(() => clearTimeout(timer));
  });
  const seen = [];
  const open = async (name) => {
    const channel = new SignalingChannel();
    const got = [];
    const waiting = [];
    channel.onMessage = (from, data) => {
      got.push(`${from.replace(run, '')}: ${data}`);
      waiting.splice(0).forEach((check) => check());
    };
    channel.ended = new Promise((resolve) => { channel.onServerDisconnected = resolve; });
    channel.gets = (n) => within(new Promise((resolve) => {
      const check = () => (got.length >= n ? resolve() : waiting.push(check));
      check();
    }), `message ${n} of ${name}`);
    channel.got = got;
    const connected = channel.connect({ host, token: name + run });
    channel.socket = sockets.at(-1);
    channel.uid = await within(connected, `the connection of ${name}`);
    return channel;
  };
  try {
    await act();
  } finally {
    for (const socket of sockets) socket.close();
  }
  return seen;

  async function act() {
    const [alice, bob] = await Promise.all([open('alice'), open('bob')]);
    seen.push(alice.uid === `alice${run}` && bob.uid === `bob${run}` ? 'connected' : `${alice.uid}, ${bob.uid}`);

    // A call: nobody waits for an ack before the next message.
    await within(Promise.all(Array.from({ length: 20 }, (_, i) => alice.send(bob.uid, `candidate ${i}`))), 'the acks');
    await within(bob.send(alice.uid, 'answer'), 'the ack');
    await Promise.all([bob.gets(20), alice.gets(1)]);
    seen.push(bob.got.every((m, i) => m === `alice: candidate ${i}`) ? 'called' : bob.got.join());

    seen.push(`offline ${await within(alice.send(`nobody${run}`, 'x').then(() => 'acked', (e) => e), 'the error')}`);

    // The network goes away, and the library comes back by itself; what was sent meanwhile arrives.
    bob.got.length = 0;
    await within(new Promise((lost) => {
      alice.socket.once('disconnect', lost);
      alice.socket.io.engine.close();
    }), 'the loss of the connection');
    await within(alice.send(bob.uid, 'meanwhile'), 'the ack after a reconnect');
    await within(bob.send(alice.uid, 'again'), 'the ack');
    await Promise.all([bob.gets(1), alice.gets(2)]);
    seen.push(bob.got.concat(alice.got).join() === 'alice: meanwhile,bob: answer,bob: again' ? 'reconnected' : bob.got.concat(alice.got).join());

    const other = await open('alice');
    await within(alice.ended, 'the end of the first device');
    await within(bob.send(alice.uid, 'to the new'), 'the ack');
    await other.gets(1);
    seen.push(other.got.concat(alice.got).join() === 'bob: to the new,bob: answer,bob: again' ? 'taken over' : other.got.concat(alice.got).join());

    seen.push(sockets.map((s) => (s.io.engine ? s.io.engine.transport.name : '')).join());
  }
}

/** What it returns if all is well. */
export const WELL = ['connected', 'called', 'offline 2201', 'reconnected', 'taken over', 'websocket,websocket,websocket'];
