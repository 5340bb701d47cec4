"use strict";

const STREAM_MILLISECONDS = 3000;

/** Fetches, but ends an event stream after a while: Swagger UI shows whole answers only. */
async function fetchBriefly(url, options) {
  const answer = await fetch(url, options);
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  const reader = answer.body.getReader();
  setTimeout(() => reader.cancel(), STREAM_MILLISECONDS);
  const received = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    received.push(part.value);
  }
  return new Response(new Blob(received), answer);
}

/** Unfolds what the address names; Swagger UI itself logs an error for an id with an underscore. */
function followDeepLink(original, { layoutActions, layoutSelectors }) {
  return (hash) => {
    if (!hash.includes("_")) return original(hash);
    const target = layoutSelectors.isShownKeyFromUrlHashArray(hash.slice(2).split("/"));
    layoutActions.show(target, true);
    layoutActions.scrollTo(target);
    layoutActions.scrollToVirtualizedOperation(target);
  };
}

/** Keeps the page light or dark as the system is, now and when that changes. */
function followColorScheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

followColorScheme();
SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "openapi.json", // relative to the page, which may stand under a prefix
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  showCommonExtensions: true,
  tryItOutEnabled: true,
  requestInterceptor: (request) => Object.assign(request, { userFetch: fetchBriefly }),
  plugins: [{ statePlugins: { layout: { wrapActions: { parseDeepLinkHash: followDeepLink } } } }],
});
