/** A JSON value as text, to be read and copied. Of a very long one the beginning is shown first. */

import { size } from "../format.js";
import { html } from "../html.js";
import { stringify } from "../json.js";
import { useMemo, useState } from "../vendor/preact-hooks.js";
import { CopyButton } from "./copy.js";

const FIRST = 20_000; // characters

/** @param {{value: import("../json.js").Json, what: string, children?: any}} props its heading as children */
export function Value({ value, what, children }) {
  const [isWhole, setWhole] = useState(false);
  const text = useMemo(() => stringify(value, 2), [value]);
  const isLong = text.length > FIRST;
  return html`<div class="value">
    <div class="heading">${children}<${CopyButton} text=${() => text} label="Copy" what=${what} /></div>
    <pre tabindex="0" role="region" aria-label=${what}>${isLong && !isWhole ? `${text.slice(0, FIRST)} …` : text}</pre>
    ${isLong && !isWhole && html`<button type="button" onClick=${() => setWhole(true)}>Show all ${size(text.length)}</button>`}
  </div>`;
}
