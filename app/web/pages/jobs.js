/** All jobs: filtered, live, page by page; many of them can be cancelled or run again at once. */

import { html } from "../html.js";
import { FilterBar } from "../jobs/filter_bar.js";
import { Filters } from "../jobs/filters.js";
import { JobList } from "../jobs/list.js";
import { SelectionBar } from "../jobs/selection.js";
import { JobTable } from "../jobs/table.js";
import { Loading, ProblemBox } from "../parts/problem.js";
import { useTitle } from "../parts/title.js";
import { counted } from "../format.js";
import { linkTo } from "../route.js";
import { useEffect, useMemo } from "../vendor/preact-hooks.js";

/** @param {{query: URLSearchParams}} props */
export function JobsPage({ query }) {
  useTitle("Jobs");
  const text = query.toString();
  const list = useMemo(() => new JobList(new Filters(new URLSearchParams(text))), [text]);
  useEffect(() => list.start(), [list]);
  const error = list.error.value;
  return html`<h1>Jobs</h1>
    <${FilterBar} key=${text} filters=${list.filters} />
    ${error && html`<${ProblemBox} error=${error}><a href=${linkTo("jobs")}>Show all jobs</a><//>`}
    ${!list.isLoaded.value ? !error && html`<${Loading} what="jobs" />` : html`
      <${SelectionBar} list=${list} />
      ${list.ids.value.length ? html`<${JobTable} list=${list} />` : html`<${Empty} filters=${list.filters} />`}
      <${Pager} list=${list} />`}`;
}

/** @param {{filters: Filters}} props */
function Empty({ filters }) {
  if (!filters.isFirstPage) return html`<p class="empty">No further jobs.</p>`;
  if (filters.areSet) return html`<p class="empty">No job matches. <a href=${linkTo("jobs")}>Show all jobs</a></p>`;
  return html`<p class="empty">No job yet. <a href=${linkTo("tasks")}>Choose a task</a> and submit one.</p>`;
}

/** @param {{list: JobList}} props */
function Pager({ list: { filters, ids, next } }) {
  return html`<nav class="pager" aria-label="Pages of jobs">
    ${!filters.isFirstPage && html`<a href=${linkTo("jobs", { query: filters.at(null) })}>« Newest</a>`}
    <span>${counted(ids.value.length, "job")} on this page</span>
    ${next.value !== null && html`<a href=${linkTo("jobs", { query: filters.at(next.value) })}>Older »</a>`}
  </nav>`;
}
