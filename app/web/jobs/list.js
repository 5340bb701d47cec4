/**
 * A page of jobs that keeps up with what happens. News are taken in once for each frame that the
 * browser draws, however many come; each job is a signal of its own, so that a row is drawn again
 * only when its job has changed.
 */

import { listJobs } from "../api.js";
import { now } from "../clock.js";
import { follow } from "../stream.js";
import { batch, computed, effect, signal } from "../vendor/signals.js";

/** @typedef {import("../types.js").Summary} Summary */
/** @typedef {import("../vendor/signals.js").Signal<Summary>} Row */

const MOST_WAITING = 1000; // jobs that are kept while they wait to be shown
const SETTLING = 1000; // milliseconds after which a page that has lost or gained rows is read again
const EXPIRING = 2000; // the same for one with jobs that may have been removed: no stream tells of that

export class JobList {
  /** @param {import("./filters.js").Filters} filters */
  constructor(filters) {
    this.filters = filters;
    /** @type {Map<string, Row>} all jobs known here; some wait to be shown */
    this.known = new Map();
    /** @type {import("../vendor/signals.js").Signal<string[]>} */
    this.ids = signal([]);
    this.next = signal(/** @type {string | null} */ (null));
    this.isLoaded = signal(false);
    this.error = signal(/** @type {Error | null} */ (null));
    /** Rows neither come nor go while this is set: somebody is about to point at one. */
    this.isHeld = signal(false);
    /** @type {import("../vendor/signals.js").Signal<ReadonlySet<string>>} */
    this.selected = signal(new Set());
    this.selectedJobs = computed(() =>
      this.ids.value.filter((id) => this.selected.value.has(id)).map((id) => this.row(id).value),
    );
    this.waiting = signal(0);
    this.isLoading = false;
    /** Whether jobs were left out of those that wait. */
    this.isFull = false;
    /** @type {import("../stream.js").Event[]} */
    this.news = [];
    this.frame = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Begins to keep up; returns what ends it. */
  start() {
    const { ofStream } = this.filters;
    const stop = follow({
      path: `events${ofStream && `?${ofStream}`}`,
      resumes: true,
      onOpen: (isResumed) => (isResumed ? undefined : this.load()),
      onEvent: (event) => this.hear(event),
      onRefused: (error) => (this.error.value = error),
    });
    const unwatch = effect(() => this.watchExpiry(now.value));
    return () => {
      stop();
      unwatch();
      cancelAnimationFrame(this.frame);
      clearTimeout(this.timer);
    };
  }

  /** Reads the page from the server; throws what keeps it from that. */
  async load() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isLoading = true; // what happens meanwhile may be newer than the answer, and comes after it
    try {
      const page = await listJobs(this.filters.query);
      batch(() => this.show(page));
    } finally {
      this.isLoading = false;
    }
    this.takeIn();
  }

  /** @param {import("../types.js").JobPage} page */
  show({ items, next }) {
    for (const job of items) this.keep(job);
    const ids = new Set(items.map((job) => job.id));
    for (const id of this.known.keys()) if (!ids.has(id)) this.known.delete(id);
    this.ids.value = [...ids];
    this.next.value = next;
    this.selected.value = new Set([...this.selected.peek()].filter((id) => ids.has(id)));
    this.waiting.value = 0;
    this.error.value = null;
    this.isLoaded.value = true;
  }

  /**
   * @param {string} id
   * @returns {Row}
   */
  row(id) {
    return /** @type {Row} */ (this.known.get(id));
  }

  /**
   * @param {import("../stream.js").Event} event
   * @returns {Promise<void> | void}
   */
  hear(event) {
    if (event.kind === "reset") return this.load();
    this.news.push(event);
    if (this.news.length === 1) this.frame = requestAnimationFrame(() => this.takeIn());
  }

  takeIn() {
    if (this.isLoading || !this.news.length) return;
    const news = this.news;
    this.news = [];
    batch(() => {
      for (const { kind, text } of news) {
        if (kind === "progress") this.report(JSON.parse(text));
        else if (kind !== "log") this.hearOf(JSON.parse(text));
      }
      this.arrange();
    });
  }

  /** @param {{job: string, fraction: number | null, message: string | null}} report */
  report({ job, fraction, message }) {
    const row = this.known.get(job);
    if (row && !row.peek().done) row.value = { ...row.peek(), progress: { fraction, message } };
  }

  /** @param {Summary} job */
  keep(job) {
    const row = this.known.get(job.id);
    if (!row) this.known.set(job.id, signal(job));
    else if (job.done || !row.peek().done) row.value = job; // else it is old news
  }

  /** @param {Summary} job */
  hearOf(job) {
    if (this.known.has(job.id)) return this.keep(job);
    this.isFull = this.isHeld.peek() && this.known.size >= this.ids.peek().length + MOST_WAITING;
    if (!this.isFull) this.keep(job);
  }

  /** Lets rows come and go, or counts those that would. */
  arrange() {
    const shown = new Set(this.ids.peek());
    const isWanted = (/** @type {string} */ id) =>
      (this.filters.isFirstPage || shown.has(id)) && this.filters.fit(this.row(id).peek());
    const wanted = [...this.known.keys()].filter(isWanted).sort().reverse();
    const fresh = wanted.filter((id) => !shown.has(id)).length;
    if (this.isHeld.peek()) {
      this.waiting.value = fresh;
      return;
    }
    const ids = wanted.slice(0, this.filters.limit);
    const isSame = ids.length === shown.size && fresh === 0;
    if (!isSame) this.ids.value = ids;
    const kept = new Set(ids);
    for (const id of this.known.keys()) if (!kept.has(id)) this.known.delete(id);
    this.waiting.value = 0;
    const hasGap = wanted.length > ids.length || (ids.length < this.filters.limit && this.next.peek());
    if (!isSame && hasGap) this.settle();
  }

  /** @param {number} time */
  watchExpiry(time) {
    const text = new Date(time).toISOString();
    const ids = this.ids.peek();
    if (ids.some((id) => (this.row(id).peek().expires_at ?? "9") < text)) this.settle(EXPIRING);
  }

  /** Reads the page again after a while: only the server knows what is in it then. */
  settle(after = SETTLING) {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.isHeld.peek()) this.settle();
      else this.load().catch(() => {}); // the stream finds out too, and says so
    }, after);
  }

  /** @param {boolean} isHeld */
  hold(isHeld) {
    if (this.isHeld.peek() === isHeld) return;
    this.isHeld.value = isHeld;
    if (isHeld) return;
    if (this.isFull) this.load().catch(() => this.settle());
    else batch(() => this.arrange());
    this.isFull = false;
  }

  /**
   * @param {string[]} ids
   * @param {boolean} isSelected
   */
  select(ids, isSelected) {
    const selected = new Set(this.selected.peek());
    for (const id of ids) isSelected ? selected.add(id) : selected.delete(id);
    this.selected.value = selected;
    this.hold(selected.size > 0);
  }
}
