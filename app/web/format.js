/** How numbers and times are written. */

const HOUR = 3600;
const DAY = 24 * HOUR;

const whole = new Intl.NumberFormat("en-GB");
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const minute = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });

/** @param {number} value */
export const count = (value) => whole.format(value);

/**
 * "1 job", "1,204 jobs".
 * @param {number} value
 * @param {string} one
 */
export const counted = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/**
 * A duration: "340 ms", "2.50 s", "3 min 20 s".
 * @param {number | import("./json.js").Exact} value 1.0 and the like come exactly as they were written
 */
export function duration(value) {
  const seconds = Number(value);
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return parts(Math.round(seconds));
}

/**
 * The same for one that goes on and is told by the second.
 * @param {number} seconds
 */
export function running(seconds) {
  return seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : parts(Math.floor(seconds));
}

/** @param {number} seconds */
function parts(seconds) {
  if (seconds < HOUR) return pair(seconds, 60, "min", 1, "s");
  if (seconds < DAY) return pair(seconds, HOUR, "h", 60, "min");
  return pair(seconds, DAY, "d", HOUR, "h");
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 */
function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  const first = `${Math.floor(seconds / large)} ${largeName}`;
  return rest ? `${first} ${rest} ${smallName}` : first;
}

/**
 * Seconds from one time to another.
 * @param {string} from
 * @param {string | number} to
 */
export const between = (from, to) =>
  Math.max(0, ((typeof to === "number" ? to : Date.parse(to)) - Date.parse(from)) / 1000);

/**
 * A time in the reader's own zone, with its day when that is another one.
 * @param {string} time
 * @param {number} now
 */
export function moment(time, now) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${minute.format(date)}`;
}

/** @param {string} time */
export const fullTime = (time) => full.format(new Date(time));

/** @param {string | number} time */
export const hourAndMinute = (time) => minute.format(new Date(time));

/**
 * @param {string} time
 * @param {number} now
 */
export function ago(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < -1) return `in ${running(-seconds)}`;
  return seconds < 2 ? "just now" : `${running(seconds)} ago`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/**
 * The end of an id: what tells jobs apart that were submitted at one time.
 * @param {string} id
 */
export const shortId = (id) => id.slice(-12);
