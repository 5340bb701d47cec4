/** One task: its documentation, limits and figures, and the form that submits a job of it. */

import { getJob, getTask } from "../api.js";
import { count, duration } from "../format.js";
import { SubmitForm } from "../form/submit_form.js";
import { html } from "../html.js";
import { STATUSES } from "../jobs/filters.js";
import { submissionOf } from "../jobs/snippets.js";
import { poll } from "../connection.js";
import { Loading, ProblemBox } from "../parts/problem.js";
import { useTitle } from "../parts/title.js";
import { Value } from "../parts/value.js";
import { linkTo } from "../route.js";
import { useEffect } from "../vendor/preact-hooks.js";
import { useSignal } from "../vendor/signals.js";

/** @typedef {import("../types.js").Task} Task */
/** @typedef {import("../json.js").Json} Json */

const EVERY = 5000; // milliseconds

/** @param {{name: string, query: URLSearchParams}} props */
export function TaskPage({ name, query }) {
  useTitle(name);
  const copyOf = query.get("copy");
  const task = useSignal(/** @type {Task | null} */ (null));
  const start = useSignal(/** @type {{[name: string]: Json} | null} */ (null));
  const error = useSignal(/** @type {Error | null} */ (null));
  useEffect(() => {
    task.value = start.value = error.value = null;
    return poll(async () => {
      const seen = await getTask(name);
      start.value ??= copyOf ? submissionOf(await getJob(copyOf)) : { task: name, params: seen.example };
      task.value = seen;
    }, EVERY, (refused) => (error.value = refused));
  }, [name, copyOf]);
  return html`<h1>${name}</h1>
    ${error.value && html`<${ProblemBox} error=${error.value}><a href=${linkTo("tasks")}>All tasks</a><//>`}
    ${!task.value || !start.value ? !error.value && html`<${Loading} what="the task" />` : html`
      <${Documentation} text=${task.value.description} />
      <${Limits} task=${task.value} />
      ${copyOf && html`<p class="note">Filled in with what job <a href=${linkTo("jobs", { name: copyOf })}>${copyOf}</a> was given.</p>`}
      <${SubmitForm} key=${`${name} ${copyOf}`} task=${task.value} start=${start.value} />
      <details><summary><h2>Schema of the result</h2></summary><${Value} value=${task.value.result_schema} what="the schema of the result" /></details>
      <details><summary><h2>Schema of the params</h2></summary><${Value} value=${task.value.params_schema} what="the schema of the params" /></details>`}`;
}

/** A docstring: its paragraphs flow, what is indented or listed keeps its lines. */
/** @param {{text: string}} props */
function Documentation({ text }) {
  const paragraphs = (text || "It has no documentation.").split(/\n\s*\n/);
  return html`<div class="doc">
    ${paragraphs.map((paragraph, index) => html`<p key=${index} class=${/^\s|^[-*>]|^\w+:$/m.test(paragraph) ? "text" : ""}>${paragraph}</p>`)}
  </div>`;
}

/** @param {{task: Task}} props */
function Limits({ task: { name, timeout, max_attempts, max_running, priority, figures } }) {
  const { durations } = figures;
  return html`<dl class="facts">
    <div><dt>Time limit of an attempt</dt><dd>${timeout === null ? "none" : duration(timeout)}</dd></div>
    <div><dt>Attempts</dt><dd>${max_attempts}</dd></div>
    <div><dt>At once</dt><dd>${max_running === null ? "no limit" : count(max_running)}</dd></div>
    <div><dt>Priority</dt><dd>${priority}</dd></div>
    <div><dt>Took</dt><dd>${durations ? `half below ${duration(durations.p50)}, 99 in 100 below ${duration(durations.p99)}` : "none has completed yet"}</dd></div>
    <div><dt>Jobs</dt><dd>${STATUSES.filter((status) => figures.jobs[status]).map((status) =>
      html`<a key=${status} href=${linkTo("jobs", { query: { task: name, status } })}>${count(figures.jobs[status])} ${status}</a> `)}
      ${STATUSES.every((status) => !figures.jobs[status]) && "none"}</dd></div>
  </dl>`;
}
