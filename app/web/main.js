/** Begins: everything else is reached from here. */

import { App } from "./app.js";
import { html } from "./html.js";
import { render } from "./vendor/preact.js";

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
