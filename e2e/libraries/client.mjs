// A client of socket.io-client, of the major version that the first argument says. It does what the lines of its input
// ask for and tells what happens in lines of its output, as all programs of this folder do (../libraries_test.go).

import { createInterface } from 'node:readline';

const { io } = await import(`socket.io-client-${process.argv[2]}`).then((m) => ({ io: m.io ?? m.default }));

const say = (what) => console.log(JSON.stringify(what));
let socket;

function connect({ url, query, auth, transports, token }) {
  socket = io(url, { query, auth, ...(transports && { transports }), forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 });
  socket.on('connect', () => {
    say({ on: 'connect' });
    if (token !== undefined) socket.emit('authentication', { token }, (...args) => say({ on: 'authenticated', args }));
  });
  socket.on('disconnect', (reason) => say({ on: 'disconnect', args: [reason] }));
  socket.on('connect_error', (e) => say({ on: 'connect_error', args: [String(e?.message)] }));
  socket.on('error', (e) => say({ on: 'error', args: [e] }));
  for (const event of ['owt-message', 'server-authenticated', 'server-disconnect', 'server-refused']) {
    socket.on(event, (...args) => say({ on: event, args }));
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  if (ask.do === 'connect') connect(ask);
  if (ask.do === 'emit') socket.emit(ask.name, ...ask.args, (...args) => say({ on: 'ack', id: ask.id, args }));
  if (ask.do === 'disconnect') socket.disconnect();
}
process.exit(0);
