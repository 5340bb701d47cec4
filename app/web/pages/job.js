/** One job: its life, what it was given and what came of it, what it writes and where it awaits. */

import { Refused } from "../api.js";
import { now } from "../clock.js";
import { html } from "../html.js";
import { LiveJob } from "../jobs/live_job.js";
import { errorText, stateOf } from "../jobs/state.js";
import { CopyButton } from "../parts/copy.js";
import { Loading, ProblemBox } from "../parts/problem.js";
import { Progress } from "../parts/progress.js";
import { JobStatus } from "../parts/status.js";
import { useTitle } from "../parts/title.js";
import { Ago, Moment } from "../parts/time.js";
import { Value } from "../parts/value.js";
import { duration } from "../format.js";
import { linkTo } from "../route.js";
import { useEffect, useMemo } from "../vendor/preact-hooks.js";
import { JobActions } from "./job_actions.js";
import { Log } from "./job_log.js";
import { Stack } from "./job_stack.js";
import { Timeline } from "./job_timeline.js";
import { Told, useTelling } from "./job_webhook.js";

/** @typedef {import("../types.js").Job} Job */

/** @param {{id: string}} props */
export function JobPage({ id }) {
  const live = useMemo(() => new LiveJob(id), [id]);
  useEffect(() => live.start(), [live]);
  useExpiry(live);
  useTelling(live);
  const job = live.job.value;
  const error = live.error.value;
  useTitle(job ? `${job.task}: ${stateOf(job)}` : "Job");
  if (error && (!job || isGone(error))) return html`<${Gone} id=${id} error=${error} />`;
  if (!job) return html`<h1>Job</h1><${Loading} what="the job" />`;
  return html`<${Head} job=${job} live=${live} />
    ${error && html`<${ProblemBox} error=${error} />`}
    <${Outcome} job=${job} />
    <${Timeline} job=${job} />
    <div class="columns">
      <section><${Value} value=${job.params} what="params"><h2>Params</h2><//></section>
      <section>${hasResult(job)
        ? html`<${Value} value=${job.result} what="result"><h2>Result</h2><//>`
        : html`<div class="heading"><h2>Result</h2></div><p class="empty">${job.done ? "It has none." : "Not yet."}</p>`}</section>
    </div>
    <${Log} lines=${live.lines.value} isLive=${!job.done} />
    ${job.status === "running" && html`<${Stack} id=${id} />`}
    <${Facts} job=${job} />`;
}

/** @param {Job} job */
const hasResult = (job) => job.status === "completed" || job.result !== null;

/** @param {Error} error */
const isGone = (error) => error instanceof Refused && [404, 410].includes(error.problem.status);

/**
 * Looks again once the job may have been removed: what is gone is not to be shown as if it were there.
 * @param {LiveJob} live
 */
function useExpiry(live) {
  const expiry = live.job.value?.expires_at;
  const isOver = Boolean(expiry) && Date.parse(String(expiry)) < now.value;
  const tick = isOver ? Math.floor(now.value / 2000) : 0;
  useEffect(() => {
    if (isOver && !live.error.peek()) live.refresh();
  }, [tick]);
}

/** @param {{id: string, error: Error}} props */
function Gone({ id, error }) {
  const isExpired = error instanceof Refused && error.slug === "job-expired";
  return html`<h1>${isExpired ? "Expired job" : "Job"}</h1>
    <p><code class="id">${id}</code></p>
    <${ProblemBox} error=${error}><a href=${linkTo("jobs")}>All jobs</a><//>`;
}

/** @param {{job: Job, live: LiveJob}} props */
function Head({ job, live }) {
  return html`<div class="head">
    <div>
      <h1>${job.task} <${JobStatus} job=${job} /></h1>
      <p class="id"><code>${job.id}</code> <${CopyButton} text=${() => job.id} label="Copy id" what="the id" /></p>
    </div>
    <${JobActions} job=${job} live=${live} />
  </div>`;
}

/** What is to be known first. Keeps its place from the start to the end. */
/** @param {{job: Job}} props */
function Outcome({ job }) {
  return html`<div class="outcome">
    ${job.error && html`<p class="problem"><strong>${job.error.type}.</strong> <span class="text">${errorText(job.error)}</span></p>`}
    ${job.cancel_requested_at && !job.done && html`<p class="note">Cancelling: asked to stop <${Ago} at=${job.cancel_requested_at} />; it runs until its coroutine has ended.</p>`}
    ${job.status === "pending" && html`<p class="note">${job.attempt ? `Attempt ${job.attempt} of ${job.max_attempts} failed. ` : ""}${
      Date.parse(job.run_at) > now.value ? html`Due <${Ago} at=${job.run_at} />.` : "Waits for a slot."}</p>`}
    ${job.status === "running" && (job.progress ? html`<${Progress} progress=${job.progress} />` : !job.cancel_requested_at && html`<p class="note">It reports no progress.</p>`)}
    ${job.done && !job.error && html`<p class="note">Ended <${Ago} at=${job.finished_at} />${job.expires_at && html`, kept until <${Moment} at=${job.expires_at} />`}.</p>`}
  </div>`;
}

/** @param {{job: Job}} props */
function Facts({ job }) {
  const labels = Object.entries(job.labels);
  return html`<section><h2>Details</h2><dl class="facts">
    <div><dt>Task</dt><dd><a href=${linkTo("tasks", { name: job.task })}>${job.task}</a></dd></div>
    <div><dt>Attempts</dt><dd>${job.attempt} of ${job.max_attempts}</dd></div>
    <div><dt>Timeout</dt><dd>${job.timeout === null ? "none" : duration(job.timeout)}</dd></div>
    <div><dt>Priority</dt><dd>${job.priority}</dd></div>
    <div><dt>Labels</dt><dd>${labels.length ? labels.map(([name, value]) =>
      html`<a class="chip" key=${name} href=${linkTo("jobs", { query: { label: `${name}:${value}` } })}>${name}:${value}</a> `) : "none"}</dd></div>
    ${job.webhook && html`<div><dt>Webhook</dt><dd><${Told} webhook=${job.webhook} isDone=${job.done} /></dd></div>`}
    ${job.expires_at && html`<div><dt>Kept until</dt><dd><${Moment} at=${job.expires_at} /></dd></div>`}
  </dl></section>`;
}
