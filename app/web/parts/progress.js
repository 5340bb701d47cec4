/** How far a running job says it is. */

import { html } from "../html.js";

/** @param {{progress: import("../types.js").Progress}} props */
export function Progress({ progress: { fraction, message } }) {
  const percent = fraction === null ? null : `${Math.floor(fraction * 100)} %`;
  return html`<span class="progress">
    ${percent !== null && html`<progress value=${fraction} max="1" aria-label="progress">${percent}</progress>
      <span class="percent">${percent}</span>`}
    ${message && html`<span class="message" title=${message}>${message}</span>`}
  </span>`;
}
