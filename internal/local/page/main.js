import { SignalingChannel } from './client/index.js';
import { Devices } from './devices.js';
import { Panel } from './panel.js';
import { Phone } from './phone.js';
import { ring, silence } from './ring.js';

/** How long typing must pause before it is taken for a name, in ms. */
const TYPED = 300;

const $ = (id) => document.getElementById(id);
const { stage, secure } = document.documentElement.dataset;
const server = new URL(`/${stage}`, location.href).href;

const panel = new Panel();
const devices = new Devices();
const channel = new SignalingChannel({ reconnectAttempts: Infinity });
const phone = new Phone({ send: (to, message) => channel.send(to, message), media, ice });
let me; // the name under which one is connected
const anybody = $('who').textContent;
let wasLost = false;

// The connection.

$('you').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (channel.state !== 'disconnected') {
    phone.hangUp();
    channel.disconnect();
    return;
  }
  notice();
  const name = $('name').value.trim();
  if (!name) return;
  $('connect').disabled = true;
  try {
    me = await channel.connect({ url: server, token: name });
    phone.me = me;
    const link = new URL('/', location.href);
    link.searchParams.set('call', me);
    $('share').firstElementChild.textContent = $('share').firstElementChild.href = link.href;
    $('share').hidden = false;
    if (me !== name) $('who').textContent = `The server calls you ${me}.`;
    $('callee').focus();
  } catch {
    // onServerDisconnected has told
  }
});

channel.onFrame = (frame) => panel.frame(frame);
channel.onMessage = (from, message) => phone.receive(from, message);
channel.onGap = () => phone.connection?.resync();
channel.onStateChange = (state) => {
  const said = { disconnected: 'Not connected', connecting: 'Connecting…', connected: 'Connected', reconnecting: 'Reconnecting…' };
  $('state').textContent = said[state];
  $('state').dataset.state = state;
  $('name').readOnly = state !== 'disconnected';
  if (state === 'disconnected') {
    $('who').textContent = anybody;
    $('share').hidden = true;
  }
  $('connect').disabled = false;
  $('connect').textContent = { disconnected: 'Connect', connecting: 'Cancel' }[state] ?? 'Disconnect';
  if (state === 'reconnecting') {
    wasLost = true;
    notice('warn', 'The connection to the server is lost. Trying again…');
  } else if (state === 'connected' && wasLost) {
    wasLost = false;
    notice('good', 'The connection to the server is back.');
  }
  controls();
  look();
};
channel.onServerDisconnected = async ({ reason, code }) => {
  wasLost = false;
  phone.drop(reason === 'left' ? 'you left' : 'lost');
  if (reason === 'superseded') {
    notice('bad', `Another tab or device has connected as ${me}. This one has left.`, {
      label: 'Take the name back', act: () => $('you').requestSubmit(),
    });
  } else if (reason === 'refused') {
    notice('bad', `The server refuses this client (${code}).`);
  } else if (reason !== 'left') {
    notice('bad', await originRefused()
      ? `The server refuses this page's origin, ${location.origin}: -origins does not name it.`
      : 'The server cannot be reached.');
  }
};

/** A browser tells no page why a WebSocket failed; a request with an Origin is refused for the same reason. */
async function originRefused() {
  try {
    return (await fetch('/socket.io/?EIO=4&transport=polling', { method: 'POST' })).status === 403;
  } catch {
    return false;
  }
}

// Who answers.

let watch; // of whom one may call
let untold; // it cannot be watched
let typed;

/** Watches whom one may call. */
function look() {
  clearTimeout(typed);
  const name = callee();
  const there = channel.state === 'connected' || channel.state === 'reconnecting';
  if (watch && (!there || watch.user !== name)) {
    watch.stop();
    watch = undefined;
  }
  if (there && name && name !== channel.user && !watch) {
    untold = false;
    watch = channel.watch(name);
  }
  show();
}

channel.onPresence = ({ error }) => {
  untold = error !== undefined;
  show();
};

function callee() {
  return phone.state === 'idle' ? $('callee').value.trim() : phone.peer;
}

function show() {
  const name = callee();
  const online = channel.state === 'connected' && watch?.user === name ? watch.online : undefined;
  const text = presenceOf(name, online);
  const output = $('presence');
  if (output.textContent !== text) output.textContent = text; // it is read out when it changes
  output.dataset.presence = online === undefined ? 'unknown' : online ? 'online' : 'offline';
  phone.seen(online);
}

function presenceOf(name, online) {
  if (channel.state === 'reconnecting') return 'Reconnecting…';
  if (channel.state !== 'connected') return 'Connect first.';
  if (!name) return 'Whose name? You will see whether they are there.';
  if (name === channel.user) return 'That is you.';
  if (online !== undefined) return `${name} is ${online ? 'online' : 'offline'}.`;
  return untold ? `The server does not tell whether ${name} is online.` : `Asking for ${name}…`;
}

$('callee').addEventListener('input', () => {
  show();
  controls();
  clearTimeout(typed);
  typed = setTimeout(look, TYPED);
});

// The call.

$('peer').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = callee();
  if (!name || channel.state !== 'connected') return;
  if (name === me) {
    notice('warn', 'That is you. Open this page again in another tab, under another name.');
    return;
  }
  notice();
  phone.call(name);
});
$('answer').addEventListener('click', () => phone.answer());
$('decline').addEventListener('click', () => phone.decline());
$('hangup').addEventListener('click', () => phone.hangUp());
addEventListener('pagehide', () => {
  phone.hangUp();
  channel.disconnect();
});

/** What is said of a call that is over. */
const endings = {
  'you hung up': (who) => [undefined, `You hung up on ${who}`],
  'you declined': (who) => [undefined, `You declined ${who}'s call`],
  'you left': () => [undefined, 'You left'],
  lost: () => [undefined, 'The call is over: this page is not connected any more'],
  'hung up': (who) => ['info', `${who} hung up.`],
  declined: (who) => ['info', `${who} declined.`],
  busy: (who) => ['info', `${who} is in another call.`],
  missed: (who) => ['info', `You missed a call from ${who}.`],
  'no answer': (who) => ['warn', `${who} does not answer.`],
  offline: (who) => ['warn', `${who} is offline.`],
  gone: (who) => ['warn', `${who} has gone.`],
  'no connection': (who) => ['bad', `No connection to ${who} could be made: the two browsers do not reach each other.`],
};

phone.onchange = (state, detail) => {
  const who = phone.peer;
  const focused = document.activeElement;
  $('ringing').hidden = state !== 'ringing';
  if (state === 'ringing') {
    $('ringing').firstElementChild.textContent = `${who} is calling`;
    ring(`${who} is calling`);
    if (!typing(focused)) $('answer').focus();
  } else {
    silence();
  }
  const phases = {
    idle: 'No call', calling: phone.stream === undefined ? 'Waiting for your camera…' : `Calling ${who}…`,
    ringing: `${who} is calling`, connecting: `Connecting to ${who}…`,
    talking: detail ? `Waiting for ${who}…` : `In a call with ${who}`,
  };
  $('phase').textContent = phases[state];
  if (state === 'idle') {
    const [kind, text] = (endings[detail] ?? (() => ['bad', `The call failed (${detail}).`]))(who);
    if (kind) notice(kind, text);
    else $('phase').textContent = text;
    $('remote').srcObject = null;
    $('mute').ariaPressed = $('blind').ariaPressed = 'false';
    $('hushed').hidden = true;
    if (document.fullscreenElement) document.exitFullscreen();
  }
  $('talk').dataset.state = state;
  mirror();
  if (state !== 'idle' && state !== 'ringing') $('callee').value = who;
  controls();
  look();
  if (focused.disabled || focused.closest('[hidden]')) { // where to go on with the keyboard
    const next = [$('hangup'), $('call')].find((b) => !b.disabled && !b.closest('[hidden]')) ?? $('talk');
    next.focus({ preventScroll: true });
  }
};

/** Whether keys may be meant for a text: then the focus stays, or they would answer a call. */
const typing = (element) => element.matches('input') && element.value !== '' && element.id !== 'name' && !element.readOnly;

phone.onhushed = (hushed) => {
  $('hushed').hidden = !hushed;
  $('hushed').textContent = hushed ? `${phone.peer}: ${hushed}` : '';
};

if (!document.fullscreenEnabled) $('full').hidden = true;
$('full').addEventListener('click', () => (document.fullscreenElement ? document.exitFullscreen() : $('talk').requestFullscreen()));
document.addEventListener('fullscreenchange', () => { $('full').ariaPressed = String(document.fullscreenElement !== null); });

phone.onpeer = (peer) => {
  const remote = new MediaStream();
  $('remote').srcObject = remote;
  peer.ontrack = (track) => {
    remote.addTrack(track);
  };
  peer.onchat = (text) => said(text, phone.peer);
  peer.onchatopen = controls;
  mirror();
  controls();
};

/** STUN and TURN servers; without them two browsers may still reach each other. */
function ice() {
  return channel.iceServers().catch(() => null);
}

// Camera and microphone.

/** What is there of them, for a call; null: nothing. */
async function media() {
  const stream = await devices.take();
  if (!stream) noDevices();
  return stream;
}

function noDevices() {
  if (!devices.wanted) return;
  if (navigator.mediaDevices) {
    notice('warn', 'There is no camera or microphone that this page may use. You can still look, listen and chat.');
    return;
  }
  notice('warn', 'Browsers give a page its camera only over https, or on the same machine. You can still look, listen and chat.',
    secure && location.protocol === 'http:' ? { label: 'Open this page over https', href: `https://${location.hostname}:${secure}/` } : undefined);
}

$('preview').addEventListener('click', async () => {
  if (devices.previewing) devices.close();
  else if (!await devices.look()) noDevices();
});

devices.onchange = () => {
  if (phone.state !== 'idle') return;
  if (!devices.previewing) $('mute').ariaPressed = $('blind').ariaPressed = 'false';
  $('phase').textContent = devices.previewing ? 'Only you see this' : 'No call';
  mirror();
  controls();
};

const own = () => phone.stream ?? devices.stream;

/** Shows one's own picture. */
function mirror() {
  const stream = own();
  if ($('local').srcObject !== (stream ?? null)) $('local').srcObject = stream ?? null;
  $('local').hidden = !(stream?.getVideoTracks().length > 0);
  $('talk').toggleAttribute('data-preview', Boolean(devices.stream));
  $('preview').ariaPressed = String(devices.previewing);
  hush();
}

/** Turns off what is not to be heard or seen, and tells the other side. */
function hush() {
  const [muted, blind] = [$('mute'), $('blind')].map((button) => button.ariaPressed === 'true');
  for (const track of own()?.getTracks() ?? []) track.enabled = !(track.kind === 'audio' ? muted : blind);
  phone.connection?.tell({ hushed: [muted && 'muted', blind && 'camera off'].filter(Boolean).join(', ') });
}

for (const button of [$('mute'), $('blind')]) {
  button.addEventListener('click', () => {
    button.ariaPressed = String(button.ariaPressed !== 'true');
    hush();
  });
}

// The chat.

$('say').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !phone.connection?.chatting) return;
  phone.connection.say(text);
  said(text);
  $('text').value = '';
});

function said(text, who) {
  const item = document.createElement('li');
  const name = document.createElement('b');
  name.textContent = who ?? 'You';
  item.classList.toggle('mine', who === undefined);
  item.append(name, text);
  $('said').append(item);
  $('said').scrollTop = $('said').scrollHeight;
}

// What can be done now.

function controls() {
  const { state } = phone;
  const busy = state !== 'idle';
  $('callee').disabled = busy && state !== 'ringing'; // one may be typing there, and must not answer by that
  $('call').disabled = busy || channel.state !== 'connected' || !$('callee').value.trim();
  $('hangup').disabled = !busy || state === 'ringing';
  $('mute').disabled = !(own()?.getAudioTracks().length > 0);
  $('blind').disabled = !(own()?.getVideoTracks().length > 0);
  $('devices').hidden = state !== 'idle';
  $('full').disabled = state !== 'talking';
  const chatting = phone.connection?.chatting ?? false;
  for (const control of $('say').elements) control.disabled = !chatting;
}

/** Says something that must not be missed, with a button or a link; nothing: takes back what was said. */
function notice(kind, text = '', { label, act, href } = {}) {
  const box = $('notice').firstElementChild;
  const [said, link, button, close] = box.children;
  box.hidden = !kind;
  box.dataset.kind = kind;
  said.textContent = text;
  link.hidden = !href;
  link.href = href ?? '';
  button.hidden = !act;
  button.onclick = act ?? null;
  close.onclick = () => notice();
  link.textContent = button.textContent = label ?? '';
}

const query = new URLSearchParams(location.search);
$('name').value = query.get('name') ?? '';
$('callee').value = query.get('call') ?? '';
($('name').value ? $('connect') : $('name')).focus();
