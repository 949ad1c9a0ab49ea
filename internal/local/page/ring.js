/** A tone and a pause, in s; what is rung at. */
const TONE = 0.4;
const PERIOD = 2;
const FREQUENCIES = [440, 480];
const VOLUME = 0.06;

const title = document.title;
let audio;
let again;

/** Rings: by sound, if the browser lets the page, and by the title. */
export function ring(text) {
  silence();
  document.title = text;
  audio = new AudioContext();
  const tone = () => {
    for (const frequency of FREQUENCIES) {
      const source = new OscillatorNode(audio, { frequency });
      source.connect(new GainNode(audio, { gain: VOLUME })).connect(audio.destination);
      source.start();
      source.stop(audio.currentTime + TONE);
    }
  };
  tone();
  again = setInterval(tone, PERIOD * 1000);
}

export function silence() {
  document.title = title;
  clearInterval(again);
  audio?.close();
  audio = undefined;
}
