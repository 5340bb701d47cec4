/** The newest jobs of one status. */

import { html } from "../html.js";
import { errorText } from "../jobs/state.js";
import { JobStatus } from "../parts/status.js";
import { Progress } from "../parts/progress.js";
import { Ago, Elapsed } from "../parts/time.js";
import { linkTo } from "../route.js";

/** @typedef {import("../types.js").Summary} Summary */

/** @param {{title: string, status: string, jobs: Summary[], empty: string}} props */
export function Latest({ title, status, jobs, empty }) {
  return html`<section class="latest">
    <div class="heading">
      <h2>${title}</h2>
      <a href=${linkTo("jobs", { query: { status } })}>All<span class="unseen"> that are ${status}</span></a>
    </div>
    ${!jobs.length ? html`<p class="empty">${empty}</p>` : html`<ul>
      ${jobs.map((job) => html`<li key=${job.id}>
        <a href=${linkTo("jobs", { name: job.id })}>${job.task}<span class="unseen"> ${job.id}</span></a>
        ${job.done ? html`<${Ago} at=${job.finished_at} />` : html`<${JobStatus} job=${job} />`}
        ${!job.done && job.started_at && html`<${Elapsed} from=${job.started_at} to=${null} />`}
        ${job.progress && !job.done && html`<${Progress} progress=${job.progress} />`}
        ${job.error && html`<span class="error" title=${errorText(job.error)}>${errorText(job.error)}</span>`}
      </li>`)}
    </ul>`}
  </section>`;
}
