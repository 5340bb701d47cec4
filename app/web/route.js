/** Where in the dashboard the reader is: the part of the address after `#`, so that links and reloads keep it. */

import { computed, signal } from "./vendor/signals.js";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** @typedef {{page: string, name: string, query: URLSearchParams}} Route */

/** @type {import("./vendor/signals.js").ReadonlySignal<Route>} */
export const route = computed(() => {
  const [path, query] = hash.value.replace(/^#?\/?/, "").split("?", 2);
  const [page, ...rest] = path.split("/");
  return { page, name: decoded(rest.join("/")), query: new URLSearchParams(query) };
});

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, and no code of anything
  }
}

/**
 * The address of a place here.
 * @param {string} page
 * @param {{name?: string, query?: URLSearchParams | Record<string, string>}} where
 */
export function linkTo(page, { name, query } = {}) {
  const path = name === undefined ? page : `${page}/${encodeURIComponent(name)}`;
  const text = new URLSearchParams(query).toString();
  return `#/${path}${text && `?${text}`}`;
}

/**
 * Goes there; with `replace` the present place leaves no entry in the history.
 * @param {string} link
 */
export function goTo(link, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", link);
  else location.hash = link;
  hash.value = link;
}
