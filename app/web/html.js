/** Markup as tagged templates: html`<p class="note">${text}</p>`. What is put in is text, never markup. */

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

/** @type {(texts: TemplateStringsArray, ...values: any[]) => any} */
export const html = /** @type {any} */ (htm).bind(h);
