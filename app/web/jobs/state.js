/** What a job's members mean to somebody who looks at it. */

/** @typedef {import("../types.js").Summary} Summary */

/**
 * The word for what it does now: its status, or that its cancel is on record while it still runs.
 * @param {Summary} job
 */
export function stateOf(job) {
  return job.status === "running" && job.cancel_requested_at !== null ? "cancelling" : job.status;
}

/**
 * Whether a cancel would change anything.
 * @param {Summary} job
 */
export const canBeCancelled = (job) => !job.done && job.cancel_requested_at === null;

/**
 * What submits it again: its task and params, which the server knows, its labels, priority and timeout.
 * @param {Summary} job
 */
export const copyOf = ({ id, labels, priority, timeout }) => ({
  copy_of: id,
  labels,
  priority,
  ...(timeout !== null && { timeout }),
});

/**
 * What went wrong, in one line.
 * @param {import("../types.js").JobError} error
 */
export function errorText({ type, exception, message }) {
  const kind = exception ?? type;
  return message ? `${kind}: ${message}` : kind;
}
