/** A job's submission as a command or a program, with the parts that matter and no key. */

import { addressOf, key } from "../api.js";
import { pythonOf, stringify } from "../json.js";

/** @typedef {import("../types.js").Job} Job */
/** @typedef {import("../json.js").Json} Json */

/**
 * What submits the same job again.
 * @param {Job} job
 * @returns {{[name: string]: Json}}
 */
export function submissionOf(job) {
  /** @type {{[name: string]: Json}} */
  const submission = { task: job.task, params: job.params };
  if (job.priority) submission.priority = job.priority;
  if (job.timeout !== null) submission.timeout = job.timeout;
  if (Object.keys(job.labels).length) submission.labels = job.labels;
  return submission;
}

/** @param {Job} job */
export function curlOf(job) {
  const lines = [`curl --json ${quoted(stringify(submissionOf(job)))}`];
  if (key.value !== null) lines.push('-H "Authorization: Bearer $AWAITD_API_KEY"');
  lines.push(quoted(addressOf("jobs")));
  return `${lines.join(" \\\n  ")}\n`;
}

/** @param {Job} job */
export function pythonProgramOf(job) {
  const headers = 'headers = {"Authorization": f"Bearer {os.environ[\'AWAITD_API_KEY\']}"}\n';
  const isKeyed = key.value !== null;
  return `import ${isKeyed ? "os\n\nimport httpx" : "httpx"}

job = ${pythonOf(submissionOf(job), 4)}
${isKeyed ? headers : ""}answer = httpx.post(${pythonOf(addressOf("jobs"))}, json=job${isKeyed ? ", headers=headers" : ""})
print(answer.status_code, answer.json())
`;
}

/**
 * As one word of a shell.
 * @param {string} text
 */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
