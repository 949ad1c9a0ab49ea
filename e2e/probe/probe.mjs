// Asks a live endpoint what AWS does not document, and how fast it is: ENDPOINT=wss://… node probe/probe.mjs
//
// It prints a Markdown table, and exits with 1 if a question could not be answered, or numbered messages came out of
// order. LONG=1 also waits out the idle time (10 minutes on API Gateway). docs/endpoints.md says what the answers mean.

import { ENDPOINT } from '../clients/endpoint.mjs';
import { control, idle } from './control.mjs';
import { greeting, handshake } from './handshake.mjs';
import { limits } from './limits.mjs';
import { bursts, sequence } from './order.mjs';
import { leaving } from './leaving.mjs';

const LONG = process.env.LONG === '1';

const parts = { handshake, greeting, control, limits, sequence, bursts, leaving, ...(LONG && { idle }) };

const rows = [];
let wrong = 0;
for (const [part, ask] of Object.entries(parts)) {
  try {
    console.error(`asking about ${part}`);
    rows.push(...await ask(ENDPOINT));
  } catch (e) {
    wrong++;
    rows.push([part, `**failed**: ${e.message}`]);
    if (part === 'greeting') break; // then nothing more can be asked
  }
}
if (!LONG && !wrong) rows.push(['idle connections', 'not asked: takes 12 minutes, LONG=1 asks']);

const cell = (text) => String(text).replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
const table = [['question', 'answer'], ['---', '---'], ...rows];
console.log(table.map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n'));
process.exit(wrong || rows.some(([, answer]) => answer.startsWith('**')) ? 1 : 0);
