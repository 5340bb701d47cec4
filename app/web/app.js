/** What is around every page: the way to the others, the state of the connection, the API key. */

import { key, keyWanted, setKey } from "./api.js";
import { html } from "./html.js";
import { KeyForm } from "./pages/key.js";
import { JobPage } from "./pages/job.js";
import { JobsPage } from "./pages/jobs.js";
import { OverviewPage } from "./pages/overview.js";
import { TaskPage } from "./pages/task.js";
import { TasksPage } from "./pages/tasks.js";
import { ConnectionSign, LostBar } from "./parts/connection.js";
import { Dialog, Messages } from "./parts/dialog.js";
import { linkTo, route } from "./route.js";
import { useEffect, useRef } from "./vendor/preact-hooks.js";

const PLACES = [
  { page: "", label: "Overview" },
  { page: "jobs", label: "Jobs" },
  { page: "tasks", label: "Tasks" },
];

export function App() {
  const { page, name } = route.value;
  const place = `${page}/${name}`;
  useFocusAtStart(place);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header>
      <a class="brand" href=${linkTo("")}>awaitd</a>
      <nav aria-label="Pages">
        ${PLACES.map((one) => html`<a href=${linkTo(one.page)} aria-current=${one.page === page ? "page" : undefined}>${one.label}</a>`)}
        <a href="docs">API</a>
      </nav>
      <${ConnectionSign} />
      ${key.value !== null && html`<button type="button" onClick=${() => setKey(null)}>Forget key</button>`}
    </header>
    <main id="main" key=${`${key.value} ${place}`} tabindex="-1">
      ${keyWanted.value === null ? html`<${Page} />` : html`<${KeyForm} reason=${keyWanted.value} />`}
    </main>
    <${LostBar} />
    <${Messages} />
    <${Dialog} />
  `;
}

function Page() {
  const { page, name, query } = route.value;
  switch (page) {
    case "":
      return html`<${OverviewPage} />`;
    case "jobs":
      return name ? html`<${JobPage} id=${name} />` : html`<${JobsPage} query=${query} />`;
    case "tasks":
      return name ? html`<${TaskPage} name=${name} query=${query} />` : html`<${TasksPage} />`;
    default:
      return html`<h1>There is nothing here</h1><p><a href=${linkTo("")}>Go to the overview</a></p>`;
  }
}

/**
 * A page that the reader comes to begins at its beginning, also for who hears it.
 * @param {string} place
 */
function useFocusAtStart(place) {
  const before = useRef(place);
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    document.getElementById("main")?.focus();
  }, [place]);
}

/** @param {Event} event a click, which is not to change the place after `#` */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
