/** Asks the server, with the API key if there is one. */

import { parse, stringify } from "./json.js";
import { signal } from "./vendor/signals.js";

/** @typedef {import("./json.js").Json} Json */
/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").JobPage} JobPage */
/** @typedef {import("./types.js").Stats} Stats */
/** @typedef {import("./types.js").Task} Task */
/** @typedef {import("./types.js").LogLine} LogLine */
/** @typedef {import("./types.js").Problem} Problem */

const KEY = "awaitd.key";
const PATIENCE = 20_000; // milliseconds until an answer that does not come is given up

/** The API key, kept for this tab only; null when none was given. */
export const key = signal(sessionStorage.getItem(KEY));
/** Why the server wants another key; null while it does not. */
export const keyWanted = signal(/** @type {string | null} */ (null));

/** @param {string | null} text */
export function setKey(text) {
  if (text === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
  key.value = text;
  keyWanted.value = null;
}

/** What the server says is wrong, after RFC 9457. */
export class Refused extends Error {
  /**
   * @param {Problem} problem
   * @param {number} retryAfter seconds, 0 when the server says nothing of it
   */
  constructor(problem, retryAfter = 0) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfter = retryAfter;
    this.slug = problem.type.split("/").pop();
  }
}

/** The server does not answer. */
export class Unreachable extends Error {
  constructor() {
    super("the server cannot be reached");
  }
}

/** @param {string} path of the API, without a leading slash: the page may stand under a prefix */
export function addressOf(path) {
  return new URL(path, document.baseURI).href;
}

/**
 * Sends a request; throws `Refused` for a problem and `Unreachable` when no answer comes.
 * @param {string} path
 * @param {RequestInit & {headers?: Record<string, string>}} options
 */
export async function ask(path, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { ...options.headers };
  if (key.value !== null) headers.Authorization = `Bearer ${key.value}`;
  const answer = await reached(fetch(addressOf(path), { cache: "no-store", ...options, headers }));
  if (answer.ok) return answer;
  const problem = problemOf(answer, await reached(answer.text()));
  if (answer.status === 401) keyWanted.value = key.value === null ? "" : problem.detail;
  throw new Refused(problem, Number(answer.headers.get("Retry-After")));
}

/**
 * @template T
 * @param {Promise<T>} promise
 */
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Unreachable();
  }
}

/**
 * @param {Response} answer
 * @param {string} text
 * @returns {Problem}
 */
function problemOf(answer, text) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/problem+json")) return JSON.parse(text);
  // A proxy on the way speaks for itself.
  const title = answer.statusText || "an error";
  const detail = `the answer was ${answer.status} ${title}`.trim();
  return { type: "about:blank", title, status: answer.status, detail, errors: [] };
}

/**
 * @param {string} path
 * @param {RequestInit & {headers?: Record<string, string>}} options
 * @returns {Promise<any>}
 */
async function read(path, options = {}) {
  const answer = await ask(path, { signal: AbortSignal.timeout(PATIENCE), ...options });
  return parse(await reached(answer.text()));
}

/** @returns {Promise<Stats>} */
export const getStats = () => read("stats");

/** Whether the server accepts work; asked without minding a 503, which says that it does not. */
export async function getReady() {
  const options = { cache: /** @type {const} */ ("no-store"), signal: AbortSignal.timeout(PATIENCE) };
  const answer = await reached(fetch(addressOf("readyz"), options));
  return JSON.parse(await reached(answer.text()));
}

/**
 * @param {URLSearchParams | string} query
 * @returns {Promise<JobPage>}
 */
export const listJobs = (query) => read(`jobs?${query}`);

/**
 * @param {string} id
 * @returns {Promise<Job>}
 */
export const getJob = (id) => read(`jobs/${id}`);

/**
 * @param {string} id
 * @returns {Promise<LogLine[]>}
 */
export const getLogs = async (id) => (await read(`jobs/${id}/logs`)).items;

/**
 * @param {string} id
 * @returns {Promise<{function: string, file: string, line: number}[]>}
 */
export const getStack = async (id) => (await read(`jobs/${id}/stack`)).frames;

/**
 * @param {string} id
 * @returns {Promise<Job>}
 */
export const cancelJob = (id) => read(`jobs/${id}`, { method: "DELETE" });

/** @returns {Promise<Task[]>} */
export const getTasks = async () => (await read("tasks")).items;

/**
 * @param {string} name
 * @returns {Promise<Task>}
 */
export const getTask = (name) => read(`tasks/${encodeURIComponent(name)}`);

/**
 * Submits a job. Sent again by who got no answer, the same `once` makes no second one.
 * @param {Json} submission
 * @param {string} once
 * @returns {Promise<Job>}
 */
export const submitJob = (submission, once) =>
  read("jobs", { ...posted(submission), headers: { ...JSON_TYPE, "Idempotency-Key": once } });

/**
 * Asks whether a submission would be accepted; throws `Refused` when it would not.
 * @param {Json} submission
 */
export const checkJob = (submission) =>
  ask("jobs?validate_only=true", { ...posted(submission), headers: JSON_TYPE });

const JSON_TYPE = { "Content-Type": "application/json" };

/** @param {Json} submission */
const posted = (submission) => ({ method: "POST", body: stringify(submission) });

/** A key for a submission that nobody else has. */
export function newOnce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
