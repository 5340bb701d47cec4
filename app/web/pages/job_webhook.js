/** Who is told of a job's end, and how that goes. */

import { now } from "../clock.js";
import { html } from "../html.js";
import { Ago } from "../parts/time.js";
import { useEffect } from "../vendor/preact-hooks.js";

/** @typedef {import("../types.js").Delivery} Delivery */

/** @param {{webhook: import("../types.js").Webhook, isDone: boolean}} props */
export function Told({ webhook: { url, events, deliveries }, isDone }) {
  return html`<span class="text">${url}</span> <span class="note">
    ${deliveries.map((delivery) => html`<${Telling} key=${delivery.id} delivery=${delivery} />`)}
    ${!deliveries.length && (isDone ? "not for this end" : `to be told if it has ${events.join(", ")}`)}</span>`;
}

/** @param {{delivery: Delivery}} props */
function Telling({ delivery: { status, attempts, last_status, last_error, next_attempt_at, delivered_at } }) {
  const failure = last_error ?? `HTTP ${last_status}`;
  if (delivered_at) return html`delivered <${Ago} at=${delivered_at} />`;
  if (status === "failed") return html`given up after ${attempts} attempts: ${failure}`;
  if (!attempts) return "being delivered";
  return html`attempt ${attempts} failed: ${failure}; the next is due <${Ago} at=${next_attempt_at} />`;
}

/**
 * Looks again while something is to be delivered: no stream tells of that.
 * @param {import("../jobs/live_job.js").LiveJob} live
 */
export function useTelling(live) {
  const isDue = (live.job.value?.webhook?.deliveries ?? []).some(({ status }) => status === "pending");
  const tick = isDue ? Math.floor(now.value / 2000) : 0;
  useEffect(() => {
    if (isDue && !live.error.peek()) live.refresh();
  }, [tick]);
}
