/** What went wrong with a request, in the server's own words. */

import { addressOf, Refused } from "../api.js";
import { html } from "../html.js";

/** @param {{error: Error, children?: any}} props */
export function ProblemBox({ error, children }) {
  const problem = error instanceof Refused ? error.problem : null;
  const title = problem ? problem.title : error.message;
  const hasPage = problem?.type.startsWith("/problems/");
  return html`<div class="problem" role="alert">
    <p>
      <strong>${title}.</strong> ${problem && `${problem.detail}.`.replace("..", ".")}
      ${hasPage && html` <a href=${addressOf(`problems/${/** @type {Refused} */ (error).slug}`)}>What to do</a>`}
    </p>
    ${children}
  </div>`;
}

/** @param {{what: string}} props */
export function Loading({ what }) {
  return html`<p class="empty" role="status">Loading ${what} …</p>`;
}
