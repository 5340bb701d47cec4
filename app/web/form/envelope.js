/** The members of a submission, as a schema: the params of its task, and when and how it runs. */

/** @typedef {import("../types.js").Schema} Schema */

/** @type {Schema} */
const OPTIONS = {
  priority: { type: "integer", description: "Higher first; by default the task's own." },
  delay: { type: "number", description: "Seconds before it is due; or a time in run_at." },
  run_at: { type: "string", format: "date-time", description: "When it is due, such as 2030-01-31T12:00:00Z." },
  start_within: { type: "number", description: "Seconds past its due time after which it fails rather than start." },
  timeout: { type: "number", description: "Seconds one attempt may take, at most the task's own limit." },
  labels: {
    type: "object",
    additionalProperties: { type: "string" },
    description: "Names and values of your own, to find it by.",
  },
};

/**
 * The schema of a submission of a task.
 * @param {Schema} params of the task
 * @returns {Schema}
 */
export function envelopeOf(params) {
  const { $defs, ...schema } = params;
  return {
    type: "object",
    additionalProperties: false,
    properties: { params: schema, ...OPTIONS },
    required: ["params"],
    $defs,
  };
}
