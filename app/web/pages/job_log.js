/** What a job writes, as it writes it. */

import { html } from "../html.js";
import { Moment } from "../parts/time.js";
import { useLayoutEffect, useRef } from "../vendor/preact-hooks.js";

const NEAR = 40; // pixels from the end that still count as the end

/** @param {{lines: import("../types.js").LogLine[], isLive: boolean}} props */
export function Log({ lines, isLive }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = /** @type {HTMLElement} */ (box.current);
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };
  const attempts = new Set(lines.map(({ attempt }) => attempt)).size;
  return html`<section><h2>Log</h2>
    ${!lines.length ? html`<p class="empty">${isLive ? "It has written nothing yet." : "It wrote nothing."}</p>` : html`
    <div class="log" ref=${box} onScroll=${onScroll} tabindex="0" role="log" aria-label="Log">
      ${lines.map(({ time, message, attempt }, index) => html`<p key=${index}>
        <${Moment} at=${time} />${attempts > 1 && html` <span class="note">attempt ${attempt}</span>`} <span class="text">${message}</span>
      </p>`)}
    </div>`}
  </section>`;
}
