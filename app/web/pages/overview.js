/** The service at a glance. */

import { getReady, getStats, listJobs } from "../api.js";
import { poll } from "../connection.js";
import { count, counted, duration } from "../format.js";
import { html } from "../html.js";
import { STATUSES } from "../jobs/filters.js";
import { ProblemBox, Loading } from "../parts/problem.js";
import { useTitle } from "../parts/title.js";
import { Ago, Moment } from "../parts/time.js";
import { linkTo } from "../route.js";
import { useEffect } from "../vendor/preact-hooks.js";
import { useSignal } from "../vendor/signals.js";
import { Activity } from "./overview_charts.js";
import { Latest } from "./overview_latest.js";

/** @typedef {import("../types.js").Stats} Stats */
/** @typedef {import("../types.js").Summary} Summary */

const EVERY = 2000; // milliseconds
const SHOWN = 6;

/**
 * @typedef {{stats: Stats, running: Summary[], failed: Summary[],
 *   ready: {status: string, reason: string | null, version: string, unknown_tasks: Record<string, number>}}} Seen
 */

export function OverviewPage() {
  useTitle("Overview");
  const seen = useSignal(/** @type {Seen | null} */ (null));
  const error = useSignal(/** @type {Error | null} */ (null));
  useEffect(() => poll(async () => (seen.value = await look()), EVERY, (refused) => (error.value = refused)), []);
  return html`<h1>Overview</h1>
    ${error.value && html`<${ProblemBox} error=${error.value} />`}
    ${!seen.value ? !error.value && html`<${Loading} what="figures" />` : html`
      <${Counts} jobs=${seen.value.stats.jobs} />
      <${Health} seen=${seen.value} />
      <${Activity} stats=${seen.value.stats} />
      <div class="columns">
        <${Latest} title="Running" status="running" jobs=${seen.value.running} empty="No job is running." />
        <${Latest} title="Failed last" status="failed" jobs=${seen.value.failed} empty="No failed job is kept." />
      </div>`}`;
}

/** @returns {Promise<any>} */
async function look() {
  const [stats, ready, running, failed] = await Promise.all([
    getStats(),
    getReady(),
    listJobs(`status=running&limit=${SHOWN}`),
    listJobs(`status=failed&limit=${SHOWN}`),
  ]);
  return { stats, ready, running: running.items, failed: failed.items };
}

/** @param {{jobs: Stats["jobs"]}} props */
function Counts({ jobs }) {
  return html`<ul class="counts" aria-label="Jobs by status">
    ${STATUSES.map((status) => html`<li key=${status}>
      <a class=${`tile ${status}`} href=${linkTo("jobs", { query: { status } })}>
        <strong>${count(jobs[status] ?? 0)}</strong> <span>${status}</span>
      </a>
    </li>`)}
  </ul>`;
}

/** @param {{seen: Seen}} props */
function Health({ seen: { stats, ready } }) {
  const { taken, limit } = stats.slots;
  const unknown = Object.entries(ready.unknown_tasks);
  return html`
    ${ready.status !== "ready" && html`<p class="problem" role="alert">
      <strong>No work is accepted:</strong> ${ready.reason ?? "the server is not ready"}.</p>`}
    ${unknown.length > 0 && html`<p class="problem">
      <strong>Tasks that are gone:</strong>
      ${" "}${unknown.map(([name, jobs]) => `${name} (${counted(jobs, "job")} waiting)`).join(", ")}.</p>`}
    <dl class="facts">
      <div><dt>Slots taken</dt>
        <dd>${count(taken)} of ${count(limit)} <meter min="0" max=${limit} value=${taken} aria-label="slots taken"></meter></dd></div>
      <div><dt>Oldest pending job</dt>
        <dd>${stats.oldest_pending === null ? "none" : html`submitted <${Ago} at=${stats.oldest_pending} />`}</dd></div>
      <div><dt>Event loop lag</dt>
        <dd>${duration(stats.loop_lag)},
          ${stats.loop_blocked ? ` blocked ${counted(stats.loop_blocked, "time")} for ${duration(stats.loop_blocked_seconds)}` : " never blocked"}</dd></div>
      <div><dt>Engine</dt>
        <dd>${stats.engine}, ${counted(stats.workers, "worker")}, awaitd ${ready.version}</dd></div>
      <div><dt>Counted since</dt><dd><${Moment} at=${stats.since} /></dd></div>
    </dl>`;
}
