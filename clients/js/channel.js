import { SignalingClient } from './client.js';

/** What a promise is rejected with, as the number that OWT's SDK looks for. */
const byCode = (promise) => promise.catch((error) => { throw error.code ?? error; });

/**
 * OWT's SignalingChannel: what P2PClient of OWT's JavaScript SDK is given. A {@link SignalingClient} whose promises are rejected
 * with a code, a plain number.
 */
export class SignalingChannel extends SignalingClient {
  get onServerDisconnected() {
    return this.onEnd;
  }

  set onServerDisconnected(handler) {
    this.onEnd = handler;
  }

  connect(loginInfo) {
    return byCode(super.connect(loginInfo));
  }

  send(targetId, message, options) {
    return byCode(super.send(targetId, message, options));
  }

  presence(user, options) {
    return byCode(super.presence(user, options));
  }
}
