// What the JavaScript parsers make of frames, packets and strings.
//
// Arguments: the folders of Socket.IO clients, whose own parsers are asked.
// Standard input: {frames, packets, strings}, each optional.
// Standard output: for each client {frames, packets}, what it reads and what it writes; and {strings} by JSON.stringify.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const { frames = [], packets = [], strings = [] } = JSON.parse(readFileSync(0, "utf8"));
const clients = process.argv.slice(2).map((folder) => {
  const fromClient = createRequire(join(resolve(folder), "package.json"));
  const fromEngine = createRequire(fromClient.resolve("engine.io-client"));
  return client(fromClient("socket.io-parser"), fromEngine("engine.io-parser"));
});
process.stdout.write(JSON.stringify({ clients, strings: strings.map((s) => JSON.stringify(s)) }));

function client(parser, engineParser) {
  return {
    frames: frames.map((frame) => read(parser, engineParser, frame)),
    packets: packets.map((packet) => write(parser, engineParser, packet)),
  };
}

function read(parser, engineParser, frame) {
  try {
    const engine = engineParser.decodePacket(frame);
    if (engine.type === "error") return { error: engine.data };
    const data = engine.data ?? "";
    if (typeof data !== "string") return { error: "binary" };
    if (engine.type !== "message") return { engine: engine.type, data };
    let packet;
    const decoder = new parser.Decoder();
    decoder.on("decoded", (decoded) => (packet = decoded));
    decoder.add(data);
    if (packet === undefined) return { error: "binary" };
    return { engine: engine.type, data, packet };
  } catch (error) {
    return { error: error.message };
  }
}

function write(parser, engineParser, packet) {
  let wire;
  const message = ([data]) => engineParser.encodePacket({ type: "message", data }, false, (frame) => (wire = frame));
  const encoder = new parser.Encoder();
  const encoded = encoder.encode(packet, message); // before version 4 of the parser, by the callback
  if (encoded !== undefined) message(encoded);
  return wire;
}
