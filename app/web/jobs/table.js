/** The table of jobs; on a narrow screen each row is a card. */

import { shortId } from "../format.js";
import { html } from "../html.js";
import { Progress } from "../parts/progress.js";
import { JobStatus } from "../parts/status.js";
import { Ago, Elapsed, Moment } from "../parts/time.js";
import { goTo, linkTo } from "../route.js";
import { errorText } from "./state.js";

/** @typedef {import("./list.js").JobList} JobList */
/** @typedef {import("../types.js").Summary} Summary */

/** @param {{list: JobList}} props */
export function JobTable({ list }) {
  const ids = list.ids.value;
  const areAll = ids.every((id) => list.selected.value.has(id));
  return html`<table class="jobs">
    <thead><tr>
      <th scope="col"><input type="checkbox" aria-label="Select all on this page" checked=${areAll}
        onChange=${() => list.select(ids, !areAll)} /></th>
      <th scope="col">Status</th><th scope="col">Task</th><th scope="col">Id</th>
      <th scope="col">What it says</th><th scope="col">Labels</th><th scope="col">Submitted</th><th scope="col">Took</th>
    </tr></thead>
    <tbody>${ids.map((id) => html`<${Row} key=${id} list=${list} id=${id} />`)}</tbody>
  </table>`;
}

/** @param {{list: JobList, id: string}} props */
function Row({ list, id }) {
  const job = list.row(id).value;
  const isSelected = list.selected.value.has(id);
  return html`<tr class=${isSelected ? "selected" : ""} data-id=${id}>
    <td class="check"><input type="checkbox" aria-label=${`Select ${job.task} ${shortId(id)}`} checked=${isSelected}
      onChange=${() => list.select([id], !isSelected)} /></td>
    <td class="state"><${JobStatus} job=${job} /></td>
    <td class="task"><a href=${linkTo("jobs", { name: id })}>${job.task}</a></td>
    <td class="id"><code title=${id}>…${shortId(id)}</code></td>
    <td class="says"><${Says} job=${job} /></td>
    <td class="labels">${Object.entries(job.labels).map(([name, value]) => html`<${Label} key=${name} text=${`${name}:${value}`} list=${list} />`)}</td>
    <td class="when"><${Moment} at=${job.created_at} /></td>
    <td class="took">${job.started_at && html`<${Elapsed} from=${job.started_at} to=${job.done ? job.finished_at : null} />`}</td>
  </tr>`;
}

/** @param {{text: string, list: JobList}} props */
function Label({ text, list: { filters } }) {
  const filter = () => goTo(linkTo("jobs", { query: filters.with("label", [...filters.labels, text]) }));
  return html`<button type="button" class="chip" title="Show only jobs with this label" onClick=${filter}>${text}</button>`;
}

/** @param {{job: Summary}} props */
function Says({ job }) {
  const attempts = job.max_attempts > 1 && job.attempt > 0;
  return html`
    ${attempts && (job.attempt > 1 || !job.done) && html`<span class="note">attempt ${job.attempt} of ${job.max_attempts}</span> `}
    ${job.status === "pending" && html`<${Due} job=${job} />`}
    ${job.status === "running" && job.progress && html`<${Progress} progress=${job.progress} />`}
    ${job.error && html`<span class="error" title=${errorText(job.error)}>${errorText(job.error)}</span>`}`;
}

/** @param {{job: Summary}} props */
function Due({ job }) {
  if (Date.parse(job.run_at) <= Date.now()) return html`<span class="note">waits for a slot</span>`;
  return html`<span class="note">due <${Ago} at=${job.run_at} /></span>`;
}

