/** The time, for what is shown as "3 s ago": goes on by itself while somebody looks. */

import { visible } from "./connection.js";
import { effect, signal } from "./vendor/signals.js";

/** Milliseconds since the epoch, once a second. */
export const now = signal(Date.now());

effect(() => {
  if (!visible.value) return;
  now.value = Date.now();
  const timer = setInterval(() => (now.value = Date.now()), 1000);
  return () => clearInterval(timer);
});
