/** Small charts of numbers over time: bars on top of each other, or lines. */

import { hourAndMinute } from "../format.js";
import { html } from "../html.js";
import { useState } from "../vendor/preact-hooks.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} tone the class that colours it
 * @property {(number | null)[]} values
 */

/**
 * @typedef {object} Props
 * @property {string} title
 * @property {string} summary what the chart shows, for who does not see it
 * @property {string[]} starts when each period begins
 * @property {Series[]} series
 * @property {(value: number) => string} format
 * @property {boolean} [areLines]
 */

/** @param {Props} props */
export function Chart({ title, summary, starts, series, format, areLines = false }) {
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const top = topOf(series, areLines);
  const point = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * starts.length);
    setAt(Math.min(Math.max(index, 0), starts.length - 1));
  };
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      <${Legend} series=${series} index=${at} start=${at === null ? null : starts[at]} format=${format} />
    </figcaption>
    <div class="plot">
      <span class="top">${format(top)}</span>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: ${summary}`}
        onPointerMove=${point} onPointerDown=${point} onPointerLeave=${() => setAt(null)}>
        ${at !== null && html`<rect class="at" x=${(at * WIDTH) / starts.length} y="0" width=${WIDTH / starts.length} height=${HEIGHT} />`}
        ${areLines ? series.map((one) => html`<${Line} series=${one} top=${top} />`)
          : html`<${Bars} series=${series} top=${top} />`}
      </svg>
    </div>
    <div class="scale" aria-hidden="true">
      <span>${hourAndMinute(starts[0])}</span>
      <span>${hourAndMinute(starts[Math.floor(starts.length / 2)])}</span>
      <span>now</span>
    </div>
    <${Figures} title=${title} starts=${starts} series=${series} format=${format} />
  </figure>`;
}

/** @param {{series: Series[], index: number | null, start: string | null, format: Props["format"]}} props */
function Legend({ series, index, start, format }) {
  const value = (/** @type {Series} */ one) => (index === null ? null : one.values[index]);
  return html`<p class="legend">
    ${start !== null && html`<span class="start">${hourAndMinute(start)}</span>`}
    ${series.map((one) => html`<span class=${`key ${one.tone}`}><i></i>${one.name}
      ${index !== null && html` <b>${value(one) === null ? "–" : format(value(one) ?? 0)}</b>`}</span>`)}
  </p>`;
}

/**
 * The numbers as a table, for who does not see or point.
 * @param {Pick<Props, "title" | "starts" | "series" | "format">} props
 */
function Figures({ title, starts, series, format }) {
  const [isOpen, setOpen] = useState(false);
  const rows = starts.map((start, index) => ({ start, index })).reverse();
  return html`<details onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
    <summary>Numbers<span class="unseen"> of ${title}</span></summary>
    ${isOpen && html`<div class="scroll" tabindex="0" role="region" aria-label=${`Numbers of ${title}`}><table>
      <thead><tr><th scope="col">from</th>${series.map((one) => html`<th scope="col">${one.name}</th>`)}</tr></thead>
      <tbody>${rows.map(({ start, index }) => html`<tr key=${start}>
        <th scope="row">${hourAndMinute(start)}</th>
        ${series.map(({ values }) => html`<td>${values[index] === null ? "–" : format(values[index] ?? 0)}</td>`)}
      </tr>`)}</tbody>
    </table></div>`}
  </details>`;
}

/** @param {{series: Series[], top: number}} props */
function Bars({ series, top }) {
  const count = series[0].values.length;
  const width = WIDTH / count;
  const bars = [];
  for (let index = 0; index < count; index += 1) {
    let y = HEIGHT;
    for (const { tone, values } of series) {
      const height = ((values[index] ?? 0) / top) * HEIGHT;
      y -= height;
      if (height > 0) {
        bars.push(html`<rect class=${tone} x=${index * width + width * 0.1} y=${y} width=${width * 0.8} height=${height} />`);
      }
    }
  }
  return bars;
}

/** @param {{series: Series, top: number}} props */
function Line({ series: { tone, values }, top }) {
  const width = WIDTH / values.length;
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
    const left = index * width;
    // A value holds for its whole period, and one without neighbours is seen.
    path += `${values[index - 1] === null || index === 0 ? "M" : "L"}${left} ${y}H${left + width}`;
  });
  return html`<path class=${tone} d=${path} fill="none" vector-effect="non-scaling-stroke" />`;
}

/**
 * The round number that all values stay below.
 * @param {Series[]} series
 * @param {boolean} areLines
 */
function topOf(series, areLines) {
  const sums = series[0].values.map((_, index) => {
    const values = series.map((one) => one.values[index] ?? 0);
    return areLines ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
  });
  const most = Math.max(...sums);
  if (most <= 0) return areLines ? 1 : 10;
  const magnitude = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * magnitude >= most) ?? 10;
  return areLines ? step * magnitude : Math.max(step * magnitude, 4);
}
