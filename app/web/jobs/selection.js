/** What can be done with the jobs that are selected: always with their number, and asked before. */

import { cancelJob, newOnce, submitJob } from "../api.js";
import { count, counted } from "../format.js";
import { html } from "../html.js";
import { confirmed, tell } from "../parts/dialog.js";
import { useState } from "../vendor/preact-hooks.js";
import { canBeCancelled, copyOf } from "./state.js";

/** @typedef {import("./list.js").JobList} JobList */
/** @typedef {import("../types.js").Summary} Summary */

const AT_ONCE = 4;

/** Its place is kept while nothing is selected, so that no row moves. */
/** @param {{list: JobList}} props */
export function SelectionBar({ list }) {
  const [isBusy, setBusy] = useState(false);
  const jobs = list.selectedJobs.value;
  const stoppable = jobs.filter(canBeCancelled);
  const act = async (/** @type {Action} */ action, /** @type {Summary[]} */ chosen) => {
    if (!(await confirmed(action.question(chosen)))) return;
    setBusy(true);
    await doAll(action, chosen);
    setBusy(false);
    list.select([...list.selected.peek()], false);
  };
  const waiting = list.waiting.value;
  return html`<div class="selection" role="group" aria-label="Selected jobs">
    ${!jobs.length ? html`<span class="note">Select jobs to cancel them or run them again.</span>` : html`
      <strong>${count(jobs.length)} selected</strong>
      <button type="button" class="danger" disabled=${isBusy || !stoppable.length} onClick=${() => act(CANCEL, stoppable)}>
        Cancel ${count(stoppable.length)}</button>
      <button type="button" disabled=${isBusy} onClick=${() => act(AGAIN, jobs)}>Run ${count(jobs.length)} again</button>
      <button type="button" disabled=${isBusy} onClick=${() => list.select([...list.selected.peek()], false)}>Clear<span class="unseen"> the selection</span></button>
      ${waiting > 0 && html`<span class="note">${list.isFull ? "More than " : ""}${counted(waiting, "newer job")} will come when nothing is selected.</span>`}`}
  </div>`;
}

/**
 * @typedef {object} Action
 * @property {(jobs: Summary[]) => import("../parts/dialog.js").Question} question
 * @property {(job: Summary) => Promise<Summary>} act
 * @property {(jobs: Summary[]) => string} result
 */

/** @type {Action} */
const CANCEL = {
  question: (jobs) => ({
    title: `Cancel ${counted(jobs.length, "job")}?`,
    text: `${numberOf(jobs, "pending")} pending, which will never start, and ${numberOf(jobs, "running")} running, which are asked to stop. This cannot be undone.`,
    yes: `Cancel ${counted(jobs.length, "job")}`,
    isDangerous: true,
  }),
  act: (job) => cancelJob(job.id),
  result: (jobs) => {
    const stopping = jobs.filter((job) => !job.done).length;
    const cancelled = jobs.filter((job) => job.status === "cancelled").length;
    const ended = jobs.length - stopping - cancelled; // before the request came
    const parts = [`${counted(cancelled, "job")} cancelled`, stopping && `${count(stopping)} stopping`, ended && `${count(ended)} had ended`];
    return `${parts.filter(Boolean).join(", ")}.`;
  },
};

/** @type {Action} */
const AGAIN = {
  question: (jobs) => ({
    title: `Run ${counted(jobs.length, "job")} again?`,
    text: `For each of them a new job is submitted with the same task and params, of ${tasksOf(jobs)}.`,
    yes: `Submit ${counted(jobs.length, "job")}`,
  }),
  act: (job) => submitJob(copyOf(job), newOnce()),
  result: (jobs) => `${counted(jobs.length, "job")} submitted.`,
};

/**
 * Acts on all, a few at once, and tells what came of it.
 * @param {Action} action
 * @param {Summary[]} jobs
 */
async function doAll(action, jobs) {
  const left = [...jobs];
  /** @type {Summary[]} */
  const done = [];
  /** @type {Error[]} */
  const errors = [];
  const work = async () => {
    for (let job = left.shift(); job; job = left.shift()) {
      await action.act(job).then((answer) => done.push(answer), (error) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (done.length) tell(action.result(done));
  if (errors.length) tell(`${counted(errors.length, "request")} refused: ${errors[0].message}`, { isBad: true });
}

/**
 * @param {Summary[]} jobs
 * @param {string} status
 */
const numberOf = (jobs, status) => count(jobs.filter((job) => job.status === status).length);

/** @param {Summary[]} jobs */
const tasksOf = (jobs) => [...new Set(jobs.map((job) => job.task))].join(", ");
