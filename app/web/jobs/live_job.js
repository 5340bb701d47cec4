/** One job that keeps up: its state, what it writes and where it awaits. */

import { getJob, getLogs } from "../api.js";
import { follow } from "../stream.js";
import { batch, signal } from "../vendor/signals.js";

/** @typedef {import("../types.js").Job} Job */
/** @typedef {import("../types.js").LogLine} LogLine */

const KEPT = 1000; // lines

export class LiveJob {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.job = signal(/** @type {Job | null} */ (null));
    this.lines = signal(/** @type {LogLine[]} */ ([]));
    this.error = signal(/** @type {Error | null} */ (null));
    /** @type {LogLine[]} lines that were told since the stream was opened */
    this.told = [];
    this.frame = 0;
  }

  /** Begins to keep up; returns what ends it. */
  start() {
    const stop = follow({
      path: `jobs/${encodeURIComponent(this.id)}/events`,
      onOpen: () => {
        this.told = [];
        return this.load();
      },
      onEvent: (event) => this.hear(event),
      onRefused: (error) => (this.error.value = error),
    });
    return () => {
      stop();
      cancelAnimationFrame(this.frame);
    };
  }

  /** Reads all of it from the server; throws what keeps it from that. */
  async load() {
    const [job, lines] = await Promise.all([getJob(this.id), getLogs(this.id)]);
    batch(() => {
      this.take(job);
      this.lines.value = joined(lines, this.told);
      this.error.value = null;
    });
  }

  /** Looks again whether it is still there. */
  async refresh() {
    await this.load().catch((error) => (this.error.value = error));
  }

  /** @param {Job} job */
  take(job) {
    if (job.done || !this.job.peek()?.done) this.job.value = job; // else the answer was late
  }

  /**
   * @param {import("../stream.js").Event} event
   * @returns {Promise<void> | void}
   */
  hear({ kind, text }) {
    if (kind === "log") return this.add(JSON.parse(text));
    if (kind === "progress") return this.report(JSON.parse(text));
    return this.load(); // what the event tells of the job lacks attempts and result
  }

  /** @param {LogLine} line */
  add({ time, message, attempt }) {
    this.told = [...this.told.slice(1 - KEPT), { time, message, attempt }];
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.lines.value = joined(this.lines.value, this.told).slice(-KEPT);
      });
    }
  }

  /** @param {{fraction: number | null, message: string | null}} progress */
  report({ fraction, message }) {
    const job = this.job.peek();
    if (job && !job.done) this.job.value = { ...job, progress: { fraction, message } };
  }
}

/**
 * What was known and what was told since, by time. Either may be ahead of the other: each line comes as often as the
 * one that has it more often has it.
 * @param {LogLine[]} known
 * @param {LogLine[]} told
 */
function joined(known, told) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const line of known) counts.set(wordsOf(line), (counts.get(wordsOf(line)) ?? 0) + 1);
  const untold = told.filter((line) => {
    const count = counts.get(wordsOf(line)) ?? 0;
    counts.set(wordsOf(line), count - 1);
    return count <= 0;
  });
  return [...known, ...untold].sort((one, other) => (one.time < other.time ? -1 : Number(one.time > other.time)));
}

/**
 * What tells a line from others: lines have no numbers.
 * @param {LogLine} line
 */
const wordsOf = ({ time, message, attempt }) => `${attempt} ${time} ${message}`;
