/** The value of a choice that is no device. */
const NONE = 'none';
/** How often the level of the sound is shown, in ms, and how much louder than it is. */
const LEVEL = 100;
const GAIN = 4;

const $ = (id) => document.getElementById(id);

/** The choices, by the kind of a device. */
const choices = () => Object.entries({ videoinput: $('camera'), audioinput: $('microphone') });

/** Camera and microphone: which are chosen, and a look at them before a call. */
export class Devices {
  onchange = () => {};

  stream; // of the preview, once it is open
  #preview; // the promise of it; undefined: there is none
  #hearing; // how its sound is measured

  constructor() {
    for (const [, choice] of choices()) choice.addEventListener('change', () => this.#chosen());
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#list());
    this.#list();
  }

  /** Whether anything is wanted: one may choose to have no camera, and no microphone. */
  get wanted() {
    return choices().some(([, choice]) => choice.value !== NONE);
  }

  get previewing() {
    return this.#preview !== undefined;
  }

  /** Opens what is chosen, to look at it. Resolves with false if there is nothing. */
  async look() {
    const mine = this.#preview = this.#open();
    const stream = await mine;
    if (this.#preview !== mine) return true; // it was taken, or is not wanted any more
    if (stream) this.#show(stream);
    else this.#preview = undefined;
    this.onchange();
    return stream !== null;
  }

  /** Ends the preview. */
  async close() {
    const preview = this.#preview;
    this.#show(undefined);
    this.onchange();
    stop(await preview);
  }

  /** What is chosen, for a call: that of the preview, if there is one. Null: there is nothing. */
  async take() {
    const preview = this.#preview;
    this.#show(undefined);
    return await preview ?? this.#open();
  }

  #show(stream) {
    if (!stream) this.#preview = undefined;
    this.stream = stream;
    this.#measure();
  }

  async #chosen() {
    if (!this.#preview) return;
    await this.close();
    await this.look();
  }

  /** What is chosen or, if that has gone, whatever there is. */
  async #open() {
    const chosen = choices().map(([, { value }]) => (value === '' ? true : value !== NONE && { deviceId: { exact: value } }));
    const [seen, heard] = chosen.map(Boolean);
    for (const [video, audio] of [chosen, [seen, heard], [false, heard], [seen, false]]) {
      if (!navigator.mediaDevices || !(video || audio)) continue;
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ video, audio });
        this.#list(); // now their names are told
        return stream;
      } catch {
        // then with less
      }
    }
    return null;
  }

  async #list() {
    const all = await navigator.mediaDevices?.enumerateDevices() ?? [];
    for (const [kind, choice] of choices()) {
      const { value } = choice;
      const found = all.filter((d) => d.kind === kind && !['', 'default'].includes(d.deviceId));
      choice.replaceChildren(new Option('Default', ''), ...found.map((d) => new Option(d.label, d.deviceId)), new Option('None', NONE));
      choice.value = value;
      if (choice.selectedIndex < 0) choice.value = '';
    }
  }

  #measure() {
    clearInterval(this.#hearing?.timer);
    this.#hearing?.context.close();
    this.#hearing = undefined;
    $('level').hidden = !(this.stream?.getAudioTracks().length > 0);
    if ($('level').hidden) return;
    const context = new AudioContext();
    const analyser = new AnalyserNode(context);
    new MediaStreamAudioSourceNode(context, { mediaStream: this.stream }).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      $('level').value = GAIN * Math.hypot(...samples) / Math.sqrt(samples.length);
    }, LEVEL);
    this.#hearing = { context, timer };
  }
}

/** Turns off what a stream comes from. */
export function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
