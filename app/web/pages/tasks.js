/** Every task: what it does, its limits and figures. */

import { getTasks } from "../api.js";
import { poll } from "../connection.js";
import { count, duration } from "../format.js";
import { html } from "../html.js";
import { STATUSES } from "../jobs/filters.js";
import { Loading, ProblemBox } from "../parts/problem.js";
import { useTitle } from "../parts/title.js";
import { linkTo } from "../route.js";
import { useEffect } from "../vendor/preact-hooks.js";
import { useSignal } from "../vendor/signals.js";

/** @typedef {import("../types.js").Task} Task */

const EVERY = 5000; // milliseconds

export function TasksPage() {
  useTitle("Tasks");
  const tasks = useSignal(/** @type {Task[] | null} */ (null));
  const error = useSignal(/** @type {Error | null} */ (null));
  useEffect(() => poll(async () => void (tasks.value = await getTasks()), EVERY, (refused) => (error.value = refused)), []);
  return html`<h1>Tasks</h1>
    ${error.value && html`<${ProblemBox} error=${error.value} />`}
    ${!tasks.value ? !error.value && html`<${Loading} what="tasks" />`
      : !tasks.value.length ? html`<p class="empty">There are no tasks: the setting AWAITD_TASKS names their modules.</p>`
      : html`<table class="tasks">
        <thead><tr><th scope="col">Task</th>${STATUSES.map((status) => html`<th scope="col" key=${status} class="number">${status}</th>`)}
          <th scope="col" class="number">half took</th><th scope="col" class="number">99 in 100</th></tr></thead>
        <tbody>${tasks.value.map((task) => html`<${Row} key=${task.name} task=${task} />`)}</tbody>
      </table>`}`;
}

/** @param {{task: Task}} props */
function Row({ task: { name, summary, figures } }) {
  return html`<tr>
    <th scope="row"><a href=${linkTo("tasks", { name })}>${name}</a> <span class="note">${summary}</span></th>
    ${STATUSES.map((status) => html`<td key=${status} class="number" data-name=${status}>${figures.jobs[status]
      ? html`<a href=${linkTo("jobs", { query: { task: name, status } })}>${count(figures.jobs[status])}<span class="unseen"> ${status}</span></a>`
      : "0"}</td>`)}
    <td class="number" data-name="half took">${figures.durations ? duration(figures.durations.p50) : "–"}</td>
    <td class="number" data-name="99 in 100">${figures.durations ? duration(figures.durations.p99) : "–"}</td>
  </tr>`;
}
