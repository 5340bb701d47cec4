/** What the tab is called. */

import { useEffect } from "../vendor/preact-hooks.js";

/** @param {string} text */
export function useTitle(text) {
  useEffect(() => {
    document.title = `${text} · awaitd`;
  }, [text]);
}
