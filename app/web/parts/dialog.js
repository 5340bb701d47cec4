/** The one dialog, and short messages that go away by themselves. */

import { html } from "../html.js";
import { signal } from "../vendor/signals.js";
import { useEffect, useRef } from "../vendor/preact-hooks.js";

/** @typedef {{title: string, text: string, yes: string, isDangerous?: boolean}} Question */

const asked = signal(/** @type {(Question & {answer: (yes: boolean) => void}) | null} */ (null));

/**
 * Asks for a confirmation.
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
export function confirmed(question) {
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer: (yes) => {
        asked.value = null;
        resolve(yes);
      },
    };
  });
}

/** Stands once, at the end of the page. */
export function Dialog() {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const question = asked.value;
  useEffect(() => {
    if (question) element.current?.showModal();
  }, [question]);
  if (!question) return null;
  const { title, text, yes, isDangerous, answer } = question;
  return html`<dialog ref=${element} aria-labelledby="dialog-title" onClose=${() => answer(false)}>
    <h2 id="dialog-title">${title}</h2>
    <p>${text}</p>
    <div class="actions">
      <button type="button" onClick=${() => answer(false)}>Go back</button>
      <button type="button" class=${isDangerous ? "danger" : "primary"} onClick=${() => answer(true)}>${yes}</button>
    </div>
  </dialog>`;
}

const LASTING = 6000; // milliseconds

/** @type {import("../vendor/signals.js").Signal<{number: number, text: string, isBad: boolean}[]>} */
const messages = signal([]);
let told = 0;

/** @param {string} text */
export function tell(text, { isBad = false } = {}) {
  const number = (told += 1);
  messages.value = [...messages.value, { number, text, isBad }];
  setTimeout(() => (messages.value = messages.value.filter((one) => one.number !== number)), LASTING);
}

/** Stands once; read out by screen readers. */
export function Messages() {
  return html`<div class="messages" role="status">
    ${messages.value.map(({ number, text, isBad }) => html`<p key=${number} class=${isBad ? "bad" : ""}>${text}</p>`)}
  </div>`;
}
