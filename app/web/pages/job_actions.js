/** What can be done with a job. */

import { cancelJob, newOnce, Refused, submitJob } from "../api.js";
import { html } from "../html.js";
import { curlOf, pythonProgramOf } from "../jobs/snippets.js";
import { canBeCancelled, copyOf } from "../jobs/state.js";
import { CopyButton } from "../parts/copy.js";
import { confirmed, tell } from "../parts/dialog.js";
import { ProblemBox } from "../parts/problem.js";
import { goTo, linkTo } from "../route.js";
import { useState } from "../vendor/preact-hooks.js";

/** @param {{job: import("../types.js").Job, live: import("../jobs/live_job.js").LiveJob}} props */
export function JobActions({ job, live }) {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const attempt = async (/** @type {() => Promise<void>} */ act) => {
    setBusy(true);
    setError(null);
    await act().catch(setError);
    setBusy(false);
  };
  const cancel = async () => {
    if (await confirmed(questionOf(job))) await attempt(async () => live.take(await cancelJob(job.id)));
  };
  const again = () => attempt(async () => {
    const copy = await submitJob(copyOf(job), newOnce());
    tell("Submitted again: this is the new job.");
    goTo(linkTo("jobs", { name: copy.id }));
  });
  const edit = linkTo("tasks", { name: job.task, query: { copy: job.id } });
  return html`<div class="job-actions">
    <div class="actions">
      ${!job.done && html`<button type="button" class="danger" disabled=${isBusy || !canBeCancelled(job)} onClick=${cancel}>
        ${canBeCancelled(job) ? "Cancel" : "Cancelling"}</button>`}
      <button type="button" disabled=${isBusy} onClick=${again}>Run again</button>
      <a class="button" href=${edit}>Edit and run again</a>
      <${CopyButton} text=${() => curlOf(job)} label="Copy as curl" what="the command" />
      <${CopyButton} text=${() => pythonProgramOf(job)} label="Copy as Python" what="the program" />
    </div>
    ${error && html`<${ProblemBox} error=${error}>
      ${secretsOf(error).map((pointer) => html`<p key=${pointer}><code>${pointer}</code> is no longer known: <a href=${edit}>edit and run again</a></p>`)}
    <//>`}
  </div>`;
}

/** @param {import("../types.js").Job} job */
const questionOf = (job) => ({
  title: "Cancel this job?",
  text: job.status === "pending" ? "It will never start." : "Its coroutine is asked to stop, and may clean up first.",
  yes: "Cancel the job",
  isDangerous: true,
});

/**
 * Where secrets would have to be typed again.
 * @param {Error} error
 */
function secretsOf(error) {
  const errors = error instanceof Refused ? error.problem.errors ?? [] : [];
  return errors.filter(({ code }) => code === "secret_gone").map(({ pointer }) => pointer);
}
