/**
 * Whether what is shown is what there is: the one place that knows, whoever keeps the page up to date.
 *
 * An `Upkeep` is a loop of rounds (a stream to its end, one poll) that rests while the tab is hidden
 * and comes back, later and later, when the server cannot be reached. One runs at a time.
 */

import { Refused } from "./api.js";
import { effect, signal, untracked } from "./vendor/signals.js";

const FIRST_RETRY = 500; // milliseconds
const LAST_RETRY = 15_000;

/**
 * @typedef {{state: "connecting" | "live" | "paused"} |
 *   {state: "lost", why: string, since: number, retryAt: number}} Connection
 */

/** @type {import("./vendor/signals.js").Signal<Connection>} */
export const connection = signal({ state: "connecting" });

/** Whether anybody can see the page. */
export const visible = signal(!document.hidden);
document.addEventListener("visibilitychange", () => (visible.value = !document.hidden));

/** @type {Upkeep | null} */
let current = null;

/** @typedef {{pause: number, over?: boolean}} Outcome of a round: milliseconds until the next one */

export class Upkeep {
  /**
   * @param {(stop: AbortSignal) => Promise<Outcome>} round throws what the server refused
   * @param {(error: Refused) => void} onRefused ends the upkeep
   */
  constructor(round, onRefused) {
    this.round = round;
    this.onRefused = onRefused;
    this.attempts = 0;
    this.over = false;
    this.stopping = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.again = () => this.run();
    current?.stop();
    current = this;
    addEventListener("online", this.again);
    this.unwatch = effect(() => {
      const isSeen = visible.value;
      untracked(() => (isSeen ? this.run() : this.pause()));
    });
  }

  stop() {
    this.over = true;
    this.unwatch?.();
    this.interrupt();
    removeEventListener("online", this.again);
    if (current === this) current = null;
  }

  /** Begins a round now, whatever was going on. */
  run() {
    this.interrupt();
    if (this.over || !visible.peek()) return;
    this.stopping = new AbortController();
    this.oneRound(this.stopping.signal);
  }

  pause() {
    this.interrupt();
    connection.value = { state: "paused" };
  }

  /** Says that the server answers. */
  reached() {
    this.attempts = 0;
    if (connection.peek().state !== "live") connection.value = { state: "live" };
  }

  interrupt() {
    clearTimeout(this.timer);
    this.stopping.abort();
  }

  /** @param {AbortSignal} stop */
  async oneRound(stop) {
    let pause;
    try {
      const outcome = await this.round(stop);
      if (stop.aborted) return;
      this.over = outcome.over ?? false;
      pause = outcome.pause;
    } catch (error) {
      if (stop.aborted) return;
      pause = this.failed(/** @type {Error} */ (error));
    }
    if (!this.over) this.timer = setTimeout(this.again, pause);
  }

  /**
   * @param {Error} error
   * @returns {number} milliseconds until the next attempt
   */
  failed(error) {
    if (error instanceof Refused && error.problem.status < 500 && error.problem.status !== 429) {
      this.over = true;
      this.reached();
      this.onRefused(error);
      return 0;
    }
    const least = error instanceof Refused ? error.retryAfter * 1000 : 0;
    const doubled = Math.min(FIRST_RETRY * 2 ** this.attempts, LAST_RETRY);
    const pause = Math.max(least, doubled * (0.75 + Math.random() / 2));
    this.attempts += 1;
    const before = connection.peek();
    const since = before.state === "lost" ? before.since : Date.now();
    const retryAt = Date.now() + pause;
    connection.value = { state: "lost", why: error.message, since, retryAt };
    return pause;
  }
}

/** Tries to reach the server now rather than later. */
export function retryNow() {
  current?.run();
}

/**
 * Does something every few milliseconds, for as long as somebody looks.
 * @param {() => Promise<void>} look
 * @param {number} every
 * @param {(error: Refused) => void} onRefused
 * @returns {() => void} stops it
 */
export function poll(look, every, onRefused) {
  const upkeep = new Upkeep(async () => {
    await look();
    upkeep.reached();
    return { pause: every };
  }, onRefused);
  return () => upkeep.stop();
}
