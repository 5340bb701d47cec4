/** Says whether what is shown keeps up. */

import { now } from "../clock.js";
import { connection, retryNow } from "../connection.js";
import { hourAndMinute, running } from "../format.js";
import { html } from "../html.js";

const WORDS = { connecting: "connecting", live: "live", paused: "paused", lost: "connection lost" };

export function ConnectionSign() {
  const { state } = connection.value;
  return html`<span class=${`connection ${state}`} role="status"><i></i>${WORDS[state]}</span>`;
}

/** Lies over the end of the page, so that nothing moves when it comes. */
export function LostBar() {
  const state = connection.value;
  if (state.state !== "lost") return null;
  const seconds = (state.retryAt - now.value) / 1000;
  return html`<div class="lost" role="alert">
    <p>
      <strong>Connection lost:</strong> ${state.why}. What you see is from ${hourAndMinute(state.since)}.
      <span aria-live="off"> ${seconds >= 1 ? `Trying again in ${running(seconds)}.` : "Trying again …"}</span>
    </p>
    <button type="button" onClick=${retryNow}>Try now</button>
  </div>`;
}
