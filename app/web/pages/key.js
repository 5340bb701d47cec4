/** Asks for an API key. */

import { setKey } from "../api.js";
import { html } from "../html.js";
import { useTitle } from "../parts/title.js";

/** @param {{reason: string}} props empty when there was no key so far */
export function KeyForm({ reason }) {
  useTitle("API key");
  const onSubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const field = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (event.currentTarget).elements.namedItem("key"));
    const text = field.value.trim();
    field.setCustomValidity(/^[!-~]+$/.test(text) ? "" : "A key has letters, digits and signs of ASCII, and no spaces.");
    if (field.reportValidity()) setKey(text);
  };
  const onInput = (/** @type {InputEvent} */ event) =>
    /** @type {HTMLInputElement} */ (event.currentTarget).setCustomValidity("");
  return html`<h1>API key</h1>
    <form class="key" onSubmit=${onSubmit}>
      <p>This server wants an API key. It is kept in this tab only, until the tab is closed.</p>
      ${reason && html`<p class="problem" role="alert">${reason}</p>`}
      <label for="key">Key</label>
      <input id="key" name="key" type="password" autocomplete="off" spellcheck="false" required onInput=${onInput} />
      <button class="primary">Use this key</button>
      <p class="note">Whoever runs the server makes one with <code>awaitd keys add NAME</code>.</p>
    </form>`;
}
