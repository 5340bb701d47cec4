/** The controls of the filters; each change is a new address. */

import { getTasks } from "../api.js";
import { html } from "../html.js";
import { goTo, linkTo } from "../route.js";
import { useEffect, useState } from "../vendor/preact-hooks.js";
import { signal } from "../vendor/signals.js";
import { LIMITS, STATUSES } from "./filters.js";

/** @typedef {import("./filters.js").Filters} Filters */

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

const wideScreen = matchMedia("(min-width: 60rem)");
const isWide = signal(wideScreen.matches);
wideScreen.addEventListener("change", () => (isWide.value = wideScreen.matches));

/** @type {string[]} the names of all tasks, once they are known */
let taskNames = [];

/** @param {{filters: Filters}} props */
export function FilterBar({ filters }) {
  const set = (/** @type {string} */ name, /** @type {string[]} */ values) =>
    goTo(linkTo("jobs", { query: filters.with(name, values) }));
  const controls = html`<div>
    <${Search} />
    <${StatusFilter} filters=${filters} set=${set} />
    <${TaskFilter} filters=${filters} set=${set} />
    <${LabelFilter} filters=${filters} set=${set} />
    <${TimeFilter} name="created_after" label="From" value=${filters.after} set=${set} />
    <${TimeFilter} name="created_before" label="Until" value=${filters.before} set=${set} />
    <label>Rows <select value=${String(filters.limit)} onChange=${(/** @type {any} */ event) => set("limit", [event.target.value])}>
      ${LIMITS.map((limit) => html`<option>${limit}</option>`)}
    </select></label>
    ${filters.areSet && html`<a href=${linkTo("jobs")}>Clear filters</a>`}
  </div>`;
  return html`<div class="filters" role="search" aria-label="Jobs">
    ${isWide.value ? controls : html`<details open=${filters.areSet}><summary>Search and filter</summary>${controls}</details>`}
  </div>`;
}

function Search() {
  const [isBad, setBad] = useState(false);
  const onSubmit = (/** @type {any} */ event) => {
    event.preventDefault();
    const id = ID.exec(event.currentTarget.elements.id.value)?.[0];
    setBad(!id);
    if (id) goTo(linkTo("jobs", { name: id.toLowerCase() }));
  };
  return html`<form class="search" onSubmit=${onSubmit}>
    <label for="search">Id</label>
    <input id="search" name="id" autocomplete="off" spellcheck="false" placeholder="a job's id, or a text with one"
      aria-invalid=${isBad} aria-describedby=${isBad ? "search-error" : undefined} />
    <button>Go</button>
    ${isBad && html`<span id="search-error" class="field-error" role="alert">There is no whole id in this.</span>`}
  </form>`;
}

/** @typedef {{filters: Filters, set: (name: string, values: string[]) => void}} Props */

/** @param {Props} props */
function StatusFilter({ filters: { statuses }, set }) {
  const toggle = (/** @type {string} */ status) =>
    set("status", statuses.includes(status) ? statuses.filter((one) => one !== status) : [...statuses, status]);
  return html`<div class="switch" role="group" aria-label="Status">
    ${STATUSES.map((status) => html`<button type="button" key=${status} aria-pressed=${statuses.includes(status)}
      onClick=${() => toggle(status)}>${status}</button>`)}
  </div>`;
}

/** @param {Props} props */
function TaskFilter({ filters: { tasks }, set }) {
  const [names, setNames] = useState(taskNames);
  useEffect(() => {
    getTasks().then((all) => setNames((taskNames = all.map(({ name }) => name))), () => {}); // the list says why
  }, []);
  const choices = names.filter((name) => !tasks.includes(name));
  const choose = (/** @type {any} */ event) => set("task", [...tasks, event.target.value]);
  return html`<span class="chosen">
    <label>Task <select value="" onChange=${choose}>
      <option value="">${tasks.length ? "or another" : "any"}</option>
      ${choices.map((name) => html`<option key=${name}>${name}</option>`)}
    </select></label>
    <${Chips} name="task" values=${tasks} set=${set} />
  </span>`;
}

/** @param {Props} props */
function LabelFilter({ filters: { labels }, set }) {
  const onSubmit = (/** @type {any} */ event) => {
    event.preventDefault();
    const label = event.currentTarget.elements.label.value.trim();
    if (label) set("label", [...new Set([...labels, label])]);
  };
  return html`<form class="chosen" onSubmit=${onSubmit}>
    <label>Label <input name="label" placeholder="name:value" autocomplete="off" spellcheck="false" size="14" /></label>
    <${Chips} name="label" values=${labels} set=${set} />
  </form>`;
}

/** @param {{name: string, values: string[], set: Props["set"]}} props */
function Chips({ name, values, set }) {
  return values.map((value) => html`<button type="button" class="chip" key=${value}
    onClick=${() => set(name, values.filter((one) => one !== value))}>
    ${value} <span aria-hidden="true">×</span><span class="unseen">: remove this filter</span>
  </button>`);
}

/** @param {{name: string, label: string, value: string, set: Props["set"]}} props */
function TimeFilter({ name, label, value, set }) {
  const onChange = (/** @type {any} */ event) => {
    const text = event.target.value;
    set(name, text ? [new Date(text).toISOString()] : []);
  };
  return html`<label>${label} <input type="datetime-local" value=${localTime(value)} onChange=${onChange} /></label>`;
}

/** @param {string} time as it stands in the address */
function localTime(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
