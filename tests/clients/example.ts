// Runs a job with the client that openapi-typescript makes of openapi.json: node example.js URL
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Job = components["schemas"]["Job"];
type Problem = components["schemas"]["Problem"];
type Submission = paths["/jobs"]["post"]["requestBody"]["content"]["application/json"];

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "http://127.0.0.1:8000" });

function expect<T>({ data, error }: { data?: T | undefined; error?: Problem | undefined }): T {
  if (data === undefined) throw new Error(error ? `${error.title}: ${error.detail}` : "no answer");
  return data;
}

async function run(body: Submission): Promise<unknown> {
  const header = { Prefer: "wait=10" };
  let job: Job = expect(await client.POST("/jobs", { body }));
  const path = { job_id: job.id };
  while (!job.done) job = expect(await client.GET("/jobs/{job_id}", { params: { path, header } }));
  return expect(await client.GET("/jobs/{job_id}/result", { params: { path } }));
}

// Submissions are typed task by task, in their params too.
const submissions: Submission[] = [
  { task: "sleep", params: { seconds: 0.1 }, labels: { order: "42" } },
  { task: "echo", params: { value: { greeting: "hello" } }, timeout: null },
  { task: "count_primes", params: { limit: 100 }, priority: 1, delay: 0.1 },
  // @ts-expect-error: `sleep` takes seconds
  { task: "sleep", params: { minutes: 1 } },
  // @ts-expect-error: there is no such task
  { task: "slep", params: { seconds: 1 } },
];

const results = await Promise.all(submissions.slice(0, 3).map(run));
console.log(JSON.stringify(results));
const failed = await run({ task: "fail", params: { message: "out of paper" } }).catch(String);
console.log(JSON.stringify(failed));
