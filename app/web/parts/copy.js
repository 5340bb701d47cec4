/** Buttons that copy a text. */

import { html } from "../html.js";
import { tell } from "./dialog.js";

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return copyOldFashioned(text); // the clipboard is there for https and localhost only
  }
  return true;
}

/** @param {string} text */
function copyOldFashioned(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

/** @param {{text: () => string, label: string, what: string}} props */
export function CopyButton({ text, label, what }) {
  const onClick = async () => {
    const isCopied = await copy(text());
    tell(isCopied ? `Copied: ${what}.` : `The browser does not let ${what} be copied.`, { isBad: !isCopied });
  };
  return html`<button type="button" onClick=${onClick}>${label}</button>`;
}
