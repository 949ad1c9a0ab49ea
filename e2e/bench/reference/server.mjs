// A signaling server as one writes it on Socket.IO, and as OWT's reference server
// is (owt-server-p2p, peerserver.js): a map from users to sockets, an emit, an ack.
// It listens on a free port of the loopback interface and says which.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { Server } from 'socket.io';

if (process.argv.includes('--version')) {
  console.log(`Node.js ${process.version}, socket.io ${createRequire(import.meta.url)('socket.io/package.json').version}`);
  process.exit();
}

const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  serveClient: false,
  maxHttpBufferSize: 128 << 10,
});
const sockets = new Map(); // by user

io.on('connection', (socket) => {
  socket.on('authentication', ({ token }, ack) => {
    sockets.get(token)?.disconnect(true);
    socket.data.user = token;
    sockets.set(token, socket);
    socket.emit('server-authenticated', { uid: token });
    ack({ uid: token });
  });
  socket.on('owt-message', (message, ack) => {
    const { to } = message;
    const receiver = sockets.get(to);
    if (receiver === undefined) {
      ack(2201);
      return;
    }
    delete message.to;
    message.from = socket.data.user;
    receiver.emit('owt-message', message);
    ack();
  });
  socket.on('disconnect', () => {
    if (sockets.get(socket.data.user) === socket) sockets.delete(socket.data.user);
  });
});

http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}/socket.io/`));
process.on('SIGINT', () => process.exit(0));
