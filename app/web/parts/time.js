/** Times and durations that go on by themselves. */

import { now } from "../clock.js";
import { ago, between, duration, fullTime, moment, running } from "../format.js";
import { html } from "../html.js";

/**
 * A time of day, the whole of it as a title.
 * @param {{at: string}} props
 */
export function Moment({ at }) {
  return html`<time datetime=${at} title=${fullTime(at)}>${moment(at, now.peek())}</time>`;
}

/**
 * How long ago it was, or how long until it is.
 * @param {{at: string}} props
 */
export function Ago({ at }) {
  return html`<time datetime=${at} title=${fullTime(at)}>${ago(at, now.value)}</time>`;
}

/**
 * How long something took, or takes so far.
 * @param {{from: string, to: string | null}} props
 */
export function Elapsed({ from, to }) {
  const text = to === null ? running(between(from, now.value)) : duration(between(from, to));
  return html`<span class="elapsed">${text}</span>`;
}
