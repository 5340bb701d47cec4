/** A job's status: a colour, a sign and always the word. */

import { html } from "../html.js";
import { stateOf } from "../jobs/state.js";

const SIGNS = {
  pending: "○",
  running: "▶",
  cancelling: "◌",
  completed: "✓",
  failed: "✕",
  cancelled: "–",
};

/** @param {{state: keyof typeof SIGNS}} props */
export function Badge({ state }) {
  return html`<span class=${`badge ${state}`}><span aria-hidden="true">${SIGNS[state]}</span> ${state}</span>`;
}

/** @param {{job: import("../types.js").Summary}} props */
export function JobStatus({ job }) {
  return html`<${Badge} state=${stateOf(job)} />`;
}
