// A client as a program: what it is to do comes in, what happens to it goes out, one JSON object a line.
//
//     node driver.mjs URL NAME [OPTIONS]
//
// OPTIONS are the client's, as JSON; null is without limit. In: {"send":1,"to":"bob","data":…}, {"disconnect":true}; the end of the input
// disconnects, too. Out: {"user":…} when it is connected for the first time, {"state":…} from then on, {"from":…,"data":…} for each message,
// {"gap":…}, {"answer":1,"code":0} for each that was sent, 0 if it was acked, and {"end":…} last; {"error":…} for what fails besides.

import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { SignalingClient } from '../../clients/js/index.js';

const [url, token, options = '{}'] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const given = JSON.parse(options, (_, value) => value ?? Infinity);
const client = new SignalingClient({ WebSocket, reconnectAttempts: Infinity, ...given });
client.onMessage = (from, data) => say({ from, data });
client.onGap = (gap) => say({ gap });
client.onEnd = ({ reason, code }) => {
  say({ end: reason, code });
  process.exitCode = reason === 'left' ? 0 : 1;
  input.close();
  process.stdin.destroy();
};

const input = createInterface(process.stdin);
client.connect({ url, token }).then((user) => {
  say({ user });
  client.onStateChange = (state) => say({ state });
  input.on('line', (line) => {
    const { send, to, data } = JSON.parse(line);
    if (send === undefined) client.disconnect();
    else client.send(to, data).then(() => 0, (error) => error.code).then((code) => say({ answer: send, code }));
  });
  input.on('close', () => client.disconnect());
}, (error) => say({ error: error.message }));
