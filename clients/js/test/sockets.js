/**
 * WebSockets whose other end is the test: it lets pass what no server can be made to let pass in a test's time, hours
 * and silences. How a server really answers, e2e/jsclient tells.
 */
export class Sockets {
  /** All that were opened, in order. */
  all = [];
  /** What the constructor is to throw. */
  error;
  /** Whether those that are opened fail. */
  down = false;

  /** @returns {typeof WebSocket} */
  get WebSocket() {
    const sockets = this;
    return class {
      readyState = 0;
      sent = [];
      closedWith;

      constructor(url, protocols) {
        if (sockets.error) throw sockets.error;
        this.url = new URL(url);
        this.protocols = protocols;
        sockets.all.push(this);
        if (sockets.down) setImmediate(() => this.end());
      }

      get query() {
        return Object.fromEntries(this.url.searchParams);
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close(code) {
        this.readyState = 2;
        this.closedWith = code ?? null;
      }

      /** The server says something. */
      say(frame) {
        this.readyState = 1;
        this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
      }

      /** The server greets. */
      greet({ id = `c${sockets.all.length}`, ...more } = {}) {
        this.say({ type: 'open', connection: id, protocol: 'owt.signal.v1', idle: 600, maxPayload: 131072, maxInFlight: 128, ...more });
      }

      /** The server greets and lets the client in. */
      welcome({ user = 'alice', epoch = 'e', seq = 0, resumed = true, recover, recovered, from, iceServers, iceExpires, ...open } = {}) {
        this.greet(open);
        this.say({ type: 'welcome', user, epoch, seq, session: 's', resumed, recover, recovered, from, iceServers, iceExpires });
      }

      /** The connection ends. */
      end(code = 1006) {
        this.readyState = 3;
        this.onclose({ code });
      }

      /** What was sent since the last look; messages as their number. */
      saw() {
        return this.sent.splice(0).map((f) => (f.type === 'message' ? f.id : f.type));
      }
    };
  }

  get last() {
    return this.all.at(-1);
  }
}
