/** How many frames are listed, the latest. */
const ROWS = 200;
/** Of how many answers the median is taken, the latest. */
const SAMPLES = 100;
/** Frames of little interest: of the connection, not of a call. */
const SMALL = new Set(['ping', 'pong', 'presence', 'watch', 'unwatch', 'nothing', 'stored']);

const $ = (id) => document.getElementById(id);

/** Lists the frames that pass, and how long the server took to answer. */
export class Panel {
  #waiting = new Map(); // what has no answer yet, by what the answer will be
  #latencies = [];
  #counts = { sent: 0, received: 0, connections: 0 };

  constructor() {
    $('small').addEventListener('change', ({ target }) => $('frames').classList.toggle('all', target.checked));
    $('clear').addEventListener('click', () => {
      $('frames').replaceChildren();
      $('none').hidden = false;
    });
  }

  /** @param {{direction: 'in' | 'out', text: string}} passing */
  frame({ direction, text }) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    for (const one of [frame].flat()) {
      if (direction === 'out') this.#out(one);
      else this.#in(one);
    }
  }

  #out(frame) {
    const { type } = frame;
    switch (type) {
      case 'message': {
        const again = this.#waiting.has(`message ${frame.id}`);
        if (!again) this.#count('sent');
        const row = this.#row('out', frame.to === undefined ? 'filler' : inner(frame.data), frame.id, frame.to);
        this.#wait(`message ${frame.id}`, row);
        if (again) row.cells[5].textContent = 'again';
        break;
      }
      case 'presence':
      case 'watch':
      case 'unwatch':
        this.#wait(`presence ${frame.user}`, this.#row('out', type, '', frame.user));
        break;
      case 'ping':
        this.#wait('ping', this.#row('out', type));
        break;
      default:
        this.#row('out', type);
    }
  }

  #in(frame) {
    const { type } = frame;
    switch (type) {
      case 'message':
        this.#count('received');
        this.#row('in', inner(frame.data), frame.seq, frame.from);
        break;
      case 'ack':
        this.#answered(`message ${frame.id}`, (ms) => ms, true);
        break;
      case 'error':
        if (!this.#answered(frame.id === undefined ? `presence ${frame.user}` : `message ${frame.id}`, () => `error ${frame.code}`)) {
          this.#row('in', `error ${frame.code}`).dataset.failed = '';
        }
        break;
      case 'pong':
        this.#answered('ping', (ms) => ms);
        break;
      case 'presence':
        this.#presence(frame);
        break;
      case 'open':
        this.#count('connections');
        this.#waiting.clear();
        this.#row('in', type);
        break;
      default:
        this.#row('in', type ?? 'error', type === 'welcome' ? frame.seq : frame.id ?? '');
    }
  }

  #presence({ user, online, watched }) {
    const state = online ? 'on' : online === false ? 'off' : watched === false ? 'ended' : '';
    if (!this.#answered(`presence ${user}`, (ms) => `${state} ${ms}`)) this.#row('in', 'presence', '', user).cells[5].textContent = state;
  }

  #wait(key, row) {
    this.#waiting.set(key, { row, at: performance.now() });
  }

  /** Notes an answer. Returns whether it is one to a question that is listed. */
  #answered(key, say, counts) {
    const waiting = this.#waiting.get(key);
    if (!waiting) return false;
    this.#waiting.delete(key);
    const ms = performance.now() - waiting.at;
    const text = say(`${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
    waiting.row.cells[5].textContent = text;
    if (text.startsWith('error')) waiting.row.dataset.failed = '';
    if (!counts) return true;
    this.#latencies = [...this.#latencies, ms].slice(-SAMPLES);
    const median = this.#latencies.toSorted((a, b) => a - b)[this.#latencies.length >> 1];
    $('median').textContent = `${median < 10 ? median.toFixed(1) : Math.round(median)} ms`;
    return true;
  }

  #count(what) {
    $(what).textContent = ++this.#counts[what];
  }

  #row(direction, type, number = '', peer = '') {
    const row = document.createElement('tr');
    row.dataset.direction = direction;
    row.classList.toggle('small', SMALL.has(type));
    const way = cell(direction === 'out' ? '→' : '←');
    way.setAttribute('aria-label', direction === 'out' ? 'sent' : 'received');
    row.append(cell(time()), way, cell(type), cell(number), cell(peer), cell(''));
    $('frames').prepend(row);
    while ($('frames').rows.length > ROWS) $('frames').deleteRow(-1);
    $('none').hidden = true;
    return row;
  }
}

function cell(text) {
  const td = document.createElement('td');
  td.textContent = text;
  return td;
}

/** The time of day here, with ms. */
function time() {
  const now = new Date();
  return `${now.toTimeString().slice(0, 8)}.${String(now.getMilliseconds()).padStart(3, '0')}`;
}

/** What the phone's message is about. */
function inner(data) {
  try {
    const { type, description } = JSON.parse(data);
    return String(description?.type ?? type ?? 'message').slice(0, 16);
  } catch {
    return 'message';
  }
}
