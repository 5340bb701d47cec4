/** The life of a job as a list of what it did from when to when. */

/** @typedef {import("../types.js").Job} Job */

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {"wait" | "attempt" | "end"} kind
 * @property {string} tone the class that colours it
 * @property {string} from
 * @property {string | null} to null while it lasts; the same as `from` for a moment
 * @property {string} [note]
 */

/**
 * @param {Job} job
 * @param {number} now
 * @returns {Step[]}
 */
export function stepsOf(job, now) {
  /** @type {Step[]} */
  const steps = [];
  let from = job.created_at;
  for (const attempt of job.attempts) {
    steps.push(...waits(job, from, attempt.started_at, now));
    const outcome = attempt.outcome ?? (job.cancel_requested_at ? "cancelling" : "running");
    steps.push({
      name: `Attempt ${attempt.number}`,
      kind: "attempt",
      tone: outcome,
      from: attempt.started_at,
      to: attempt.finished_at,
      note: outcome,
    });
    from = attempt.finished_at ?? from;
  }
  if (job.status === "pending") steps.push(...waits(job, from, null, now));
  if (job.finished_at && job.finished_at > from) steps.push(...waits(job, from, job.finished_at, now));
  return steps;
}

/**
 * The wait before an attempt: until it was due, and from then on for a slot.
 * @param {Job} job
 * @param {string} from
 * @param {string | null} to
 * @param {number} now
 * @returns {Step[]}
 */
function waits(job, from, to, now) {
  const isFirst = from === job.created_at;
  const name = isFirst ? "Pending" : "Pending again";
  // When a job was due is known of its last wait only.
  const isLast = to === null || to === job.started_at || job.started_at === null || from > job.started_at;
  if (!isLast) return [{ name, kind: "wait", tone: "pending", from, to, note: "until it was due and had a slot" }];
  const due = job.run_at;
  const isDelayed = Date.parse(due) > Date.parse(from) && (to === null || Date.parse(due) <= Date.parse(to));
  if (!isDelayed) return [{ name, kind: "wait", tone: "pending", from, to, note: "for a slot" }];
  const isOver = Date.parse(due) <= now;
  /** @type {Step[]} */
  const steps = [{ name, kind: "wait", tone: "delay", from, to: isOver ? due : null, note: "until it is due" }];
  if (isOver && due !== to) steps.push({ name, kind: "wait", tone: "pending", from: due, to, note: "for a slot" });
  return steps;
}
