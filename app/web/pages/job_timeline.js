/** A job's life, drawn to scale and told in words. */

import { now } from "../clock.js";
import { between } from "../format.js";
import { html } from "../html.js";
import { errorText } from "../jobs/state.js";
import { stepsOf } from "../jobs/timeline.js";
import { Elapsed, Moment } from "../parts/time.js";

/** @typedef {import("../jobs/timeline.js").Step} Step */

/** @param {{job: import("../types.js").Job}} props */
export function Timeline({ job }) {
  const steps = stepsOf(job, now.value);
  const weight = (/** @type {Step} */ step) => Math.max(between(step.from, step.to ?? now.value), 0.001);
  return html`<section><h2>Timeline</h2>
    <div class="bar" aria-hidden="true">
      ${steps.map((step, index) => html`<span key=${index} class=${step.tone} style=${{ flexGrow: weight(step) }}></span>`)}
    </div>
    <ol class="steps">
      <li><span class="mark"></span><${Moment} at=${job.created_at} /> <strong>Submitted</strong></li>
      ${steps.map((step, index) => html`<li key=${index}>
        <span class=${`mark ${step.tone}`}></span><${Moment} at=${step.from} />
        ${" "}<strong>${step.name}</strong> ${step.kind === "attempt" ? step.note : html`<span class="note">${step.note}</span>`}
        ${" "}<${Elapsed} from=${step.from} to=${step.to} />
        <${AttemptError} job=${job} step=${step} />
      </li>`)}
      ${job.cancel_requested_at && html`<li><span class="mark cancelling"></span><${Moment} at=${job.cancel_requested_at} /> <strong>Cancel requested</strong></li>`}
      ${job.finished_at && html`<li><span class=${`mark ${job.status}`}></span><${Moment} at=${job.finished_at} /> <strong>Ended</strong> ${job.status}
        ${" "}<span class="note">after <${Elapsed} from=${job.created_at} to=${job.finished_at} /> in all</span></li>`}
    </ol>
  </section>`;
}

/** @param {{job: import("../types.js").Job, step: Step}} props */
function AttemptError({ job, step }) {
  const error = step.kind === "attempt" && job.attempts.find(({ started_at }) => started_at === step.from)?.error;
  return error ? html`<span class="error">${errorText(error)}</span>` : null;
}
