/** The server's event stream: one at a time, resumed where it was left. */

import { ask, Unreachable } from "./api.js";
import { Upkeep } from "./connection.js";

const SILENCE = 40_000; // milliseconds; the server says something every 15 s
const AGAIN = 250; // milliseconds between the end of a stream and the next one

/** @typedef {{kind: string, id: string, text: string}} Event */

/**
 * @typedef {object} Subscription
 * @property {string} path of the stream
 * @property {boolean} [resumes] whether it goes on from the last id rather than begin anew
 * @property {(isResumed: boolean) => Promise<void> | void} onOpen told before any event
 * @property {(event: Event) => Promise<void> | void} onEvent told of the next one when it is through
 * @property {(error: import("./api.js").Refused) => void} onRefused told instead, and last
 */

/**
 * Follows a stream. What a subscriber throws counts as the stream's own failure: it is tried again, or refused.
 * Ends when it is told to, or when an event `done` ends that of one job.
 * @param {Subscription} subscription
 * @returns {() => void} stops it
 */
export function follow(subscription) {
  let lastId = "";
  /** @param {AbortSignal} stop */
  const round = async (stop) => {
    /** @type {Record<string, string>} */
    const headers = lastId && subscription.resumes ? { "Last-Event-ID": lastId } : {};
    const watched = new AbortController();
    stop.addEventListener("abort", () => watched.abort());
    const answer = await withPatience(ask(subscription.path, { headers, signal: watched.signal }), watched);
    upkeep.reached();
    await subscription.onOpen("Last-Event-ID" in headers);
    for await (const event of eventsOf(answer, watched)) {
      if (stop.aborted) break;
      lastId = event.id || lastId;
      if (event.kind) await subscription.onEvent(event);
      if (event.kind === "done" && !subscription.resumes) return { pause: 0, over: true };
    }
    return { pause: AGAIN };
  };
  const upkeep = new Upkeep(round, subscription.onRefused);
  return () => upkeep.stop();
}

/**
 * The events of an answer; throws `Unreachable` when it breaks off or falls silent.
 * @param {Response} answer
 * @param {AbortController} watched
 * @returns {AsyncGenerator<Event>}
 */
async function* eventsOf(answer, watched) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withPatience(reader.read(), watched);
      if (done) return;
      const frames = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = frames.pop() ?? "";
      yield* frames.map(eventOf);
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have broken off already
  }
}

/**
 * @param {string} frame
 * @returns {Event}
 */
function eventOf(frame) {
  const event = { kind: "", id: "", text: "" };
  for (const line of frame.split("\n")) {
    if (line.startsWith("event: ")) event.kind = line.slice(7);
    if (line.startsWith("id: ")) event.id = line.slice(4);
    if (line.startsWith("data: ")) event.text = line.slice(6);
  }
  return event;
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortController} watched aborted when nothing comes for too long
 */
async function withPatience(promise, watched) {
  const timer = setTimeout(() => watched.abort(), SILENCE);
  try {
    return await promise;
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError" || error instanceof TypeError) {
      throw new Unreachable();
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
