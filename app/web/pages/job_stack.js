/** Where a running coroutine awaits right now. */

import { getStack, Refused } from "../api.js";
import { visible } from "../connection.js";
import { html } from "../html.js";
import { useEffect, useState } from "../vendor/preact-hooks.js";

const EVERY = 2000; // milliseconds

/** @typedef {{function: string, file: string, line: number}[]} Frames */

/** @param {{id: string}} props */
export function Stack({ id }) {
  const [isOpen, setOpen] = useState(false);
  const [frames, setFrames] = useState(/** @type {Frames | null} */ (null));
  const [why, setWhy] = useState("");
  useEffect(() => {
    if (!isOpen) return;
    const look = async () => {
      if (!visible.peek()) return;
      try {
        setFrames(await getStack(id));
        setWhy("");
      } catch (error) {
        setWhy(/** @type {Error} */ (error).message);
        if (error instanceof Refused && error.problem.status === 403) clearInterval(timer);
      }
    };
    const timer = setInterval(look, EVERY);
    look();
    return () => clearInterval(timer);
  }, [id, isOpen]);
  return html`<section><details class="stack" onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
    <summary><h2>Where it awaits now</h2></summary>
    ${why ? html`<p class="empty">${why}</p>` : frames && html`<ol aria-label="The chain of awaits, outermost first">
      ${frames.map((frame, index) => html`<li key=${index}><code>${frame.function}</code> <span class="note">${frame.file}:${frame.line}</span></li>`)}
    </ol>`}
  </details></section>`;
}
