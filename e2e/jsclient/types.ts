// What a program in TypeScript does with the client; package.test.mjs compiles it.

import { Code, DEFAULTS, SignalError, SignalingChannel, SignalingClient, type Gap, type JSONValue, type State, type Watch } from 'owt-signal-client';

interface Signal {
  description?: RTCSessionDescriptionInit;
  candidate?: RTCIceCandidateInit;
}

const client = new SignalingClient<Signal>({ retryFirst: true, grace: DEFAULTS.grace, WebSocket });
client.onMessage = (from, { description }) => console.log(from.length, description?.sdp);
client.onRetry = ({ attempt, delay, reason }) => console.log(attempt + delay, reason.code === Code.UNAVAILABLE);
client.onGap = ({ last }: Gap) => console.log(last);
client.addEventListener('message', ({ detail: { from, data } }) => client.send(from, data, { signal: AbortSignal.timeout(5) }));
client.addEventListener('presence', ({ detail }) => detail.error?.message);
const state: State = client.state;
const name: string = await client.connect({ url: new URL('https://example.com'), token: async () => 'alice', signal: new AbortController().signal });
await client.ready;
const watch: Watch = client.watch(name);
for await (const { online } of watch) if (online || state === 'connected') break;
new RTCPeerConnection({ iceServers: await client.iceServers() });
try {
  await client.send('bob', { description: { type: 'offer' } });
} catch (error) {
  if (error instanceof SignalError && error.code === 2201) client.unwatch('bob');
}

const any: SignalingClient = new SignalingClient();
any.onMessage = (_, data: JSONValue) => data;
any.send('bob', ['x', 1, { a: null }]);
const channel = new SignalingChannel();
channel.onServerDisconnected = ({ reason, error }) => console.log(reason === 'left', error?.code);
channel.onMessage = (_, text: string) => text;
channel.send('bob', 'x');

// @ts-expect-error an option that is misspelt
new SignalingClient({ reconectFirst: 5 });
// @ts-expect-error data of another type
client.send('bob', 'x');
// @ts-expect-error no JSON
any.send('bob', () => 1);
// @ts-expect-error a token that is none
client.connect({ url: 'https://example.com', token: 5 });
