/** What ended when, and how long it took: for an hour by the minute, for a day by the quarter hour. */

import { count, counted, duration } from "../format.js";
import { html } from "../html.js";
import { Chart } from "../parts/chart.js";
import { useState } from "../vendor/preact-hooks.js";

/** @typedef {import("../types.js").Period} Period */

const SPANS = {
  hour: { label: "last hour", each: "minute", periods: 60, milliseconds: 60_000 },
  day: { label: "last day", each: "quarter hour", periods: 96, milliseconds: 900_000 },
};

/** @param {{stats: import("../types.js").Stats}} props */
export function Activity({ stats }) {
  const [span, setSpan] = useState(/** @type {keyof typeof SPANS} */ ("hour"));
  const { label, each, periods, milliseconds } = SPANS[span];
  const known = span === "hour" ? stats.minutes : stats.quarter_hours;
  const shown = withGaps(known, periods, milliseconds);
  const starts = shown.map(({ start }) => start);
  const ended = (/** @type {string} */ status) => shown.map((period) => period.ended[status] ?? 0);
  const took = (/** @type {"p50" | "p90" | "p99"} */ name) => shown.map(({ durations }) => durations?.[name] ?? null);
  const [completed, cancelled, failed] = ["completed", "cancelled", "failed"].map(ended);
  const all = sum(completed) + sum(cancelled) + sum(failed);
  const share = all ? `${((100 * sum(failed)) / all).toFixed(1)} % of those that ended` : "none ended";
  return html`<section aria-labelledby="activity">
    <div class="heading">
      <h2 id="activity">Activity</h2>
      <div class="switch" role="group" aria-label="Time span">
        ${Object.entries(SPANS).map(([name, one]) => html`<button type="button" key=${name} aria-pressed=${name === span}
          onClick=${() => setSpan(/** @type {keyof typeof SPANS} */ (name))}>${one.label}</button>`)}
      </div>
    </div>
    <div class="charts">
      <${Chart} title=${`Ended each ${each}`} starts=${starts} format=${count}
        summary=${`${counted(all, "job")} in the ${label}`}
        series=${[
          { name: "completed", tone: "completed", values: completed },
          { name: "cancelled", tone: "cancelled", values: cancelled },
          { name: "failed", tone: "failed", values: failed },
        ]} />
      <${Chart} title=${`Failed each ${each}`} starts=${starts} format=${count}
        summary=${`${counted(sum(failed), "job")} in the ${label}, ${share}`}
        series=${[{ name: `failed: ${share}`, tone: "failed", values: failed }]} />
      <${Chart} title="How long attempts took" starts=${starts} format=${duration} areLines=${true}
        summary=${`quantiles in the ${label}, by the ${each}`}
        series=${[
          { name: "99 in 100", tone: "p99", values: took("p99") },
          { name: "9 in 10", tone: "p90", values: took("p90") },
          { name: "half", tone: "p50", values: took("p50") },
        ]} />
    </div>
  </section>`;
}

/**
 * As many periods as the chart has, up to the last one known; what is not known is empty.
 * @param {Period[]} known
 * @param {number} periods
 * @param {number} milliseconds
 * @returns {Period[]}
 */
function withGaps(known, periods, milliseconds) {
  const byStart = new Map(known.map((period) => [Date.parse(period.start), period]));
  const last = Math.max(...byStart.keys(), Math.floor(Date.now() / milliseconds) * milliseconds);
  return Array.from({ length: periods }, (_, index) => {
    const start = last - (periods - 1 - index) * milliseconds;
    return byStart.get(start) ?? { start: new Date(start).toISOString(), ended: {}, durations: null };
  });
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);
