/** Which jobs are listed: the filters, as they stand in the address. */

/** @typedef {import("../types.js").Summary} Summary */

export const STATUSES = /** @type {const} */ (["pending", "running", "completed", "failed", "cancelled"]);
export const LIMITS = [50, 100, 500];

const OF_STREAM = ["task", "label"];
const OF_LIST = ["status", ...OF_STREAM, "created_after", "created_before", "limit", "cursor"];

export class Filters {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.query = new URLSearchParams([...query].filter(([name]) => OF_LIST.includes(name)));
    this.statuses = query.getAll("status");
    this.tasks = query.getAll("task");
    this.labels = query.getAll("label");
    this.after = query.get("created_after") ?? "";
    this.before = query.get("created_before") ?? "";
    this.limit = Number(query.get("limit")) || LIMITS[0];
    this.isFirstPage = !query.has("cursor");
  }

  /** Whether they leave out any job. */
  get areSet() {
    const names = ["status", ...OF_STREAM, "created_after", "created_before"];
    return names.some((name) => this.query.has(name));
  }

  /**
   * The query of the event stream: a job that comes to have another status is to be heard of.
   */
  get ofStream() {
    return new URLSearchParams([...this.query].filter(([name]) => OF_STREAM.includes(name))).toString();
  }

  /**
   * Whether a job that the stream tells of belongs into the list.
   * @param {Summary} job
   */
  fit(job) {
    const created = Date.parse(job.created_at);
    return (
      (!this.statuses.length || this.statuses.includes(job.status)) &&
      !(created < Date.parse(this.after)) &&
      !(created >= Date.parse(this.before))
    );
  }

  /**
   * The query with one filter changed, on the first page.
   * @param {string} name
   * @param {string[]} values
   */
  with(name, values) {
    const query = new URLSearchParams(this.query);
    query.delete("cursor");
    query.delete(name);
    for (const value of values) if (value) query.append(name, value);
    return query;
  }

  /** @param {string | null} cursor */
  at(cursor) {
    const query = this.with("cursor", []);
    if (cursor !== null) query.set("cursor", cursor);
    return query;
  }
}
