// The calls that OWT's JavaScript sample makes of Socket.IO (owt-client-javascript, src/samples/p2p/js/sc.websocket.js):
// its options name no transport, and no path. A classic script, for a page that has `io`.

/* global io */
'use strict';

function SignalingChannel() {
  const TRIALS = 10;
  let socket;
  let settle;
  let given = 0;
  this.onMessage = null;
  this.onServerDisconnected = null;
  const ended = () => this.onServerDisconnected && this.onServerDisconnected();

  this.connect = ({ host, token }) => {
    socket = io(host, { 'reconnection': true, 'reconnectionAttempts': TRIALS, 'force new connection': true });
    const done = (how, value) => {
      if (settle) settle[how](value);
      settle = undefined;
    };
    socket.on('connect', () => {
      given = 0;
      socket.emit('authentication', { token }, (data) => {
        if (data.uid) done('resolve', data.uid);
        else if (data.error) done('reject', data.error);
      });
    });
    socket.on('reconnecting', () => { given++; });
    socket.on('reconnect_failed', ended);
    socket.on('server-disconnect', () => { given = TRIALS; });
    socket.on('disconnect', () => { if (given >= TRIALS) ended(); });
    socket.on('connect_failed', (code) => done('reject', parseInt(code)));
    socket.on('error', (e) => { if (e === '2103') done('reject', e); });
    socket.on('owt-message', (message) => this.onMessage && this.onMessage(message.from, message.data));
    return new Promise((resolve, reject) => { settle = { resolve, reject }; });
  };

  this.send = (to, data) => new Promise((resolve, reject) => {
    socket.emit('owt-message', { data, to }, (error) => (error ? reject(error) : resolve()));
  });

  this.disconnect = () => {
    given = TRIALS;
    if (socket) socket.close();
    return Promise.resolve();
  };
}
