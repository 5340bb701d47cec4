/**
 * The shapes of the API's answers, for editors and for type checks.
 *
 * @typedef {import("./json.js").Json} Json
 * @typedef {"pending" | "running" | "completed" | "failed" | "cancelled"} Status
 * @typedef {{type: string, exception: string | null, message: string}} JobError
 * @typedef {{fraction: number | null, message: string | null}} Progress
 * @typedef {{number: number, started_at: string, finished_at: string | null,
 *   outcome: Status | null, error: JobError | null}} Attempt
 *
 * @typedef {{id: string, task: string, status: Status, done: boolean, error: JobError | null,
 *   progress: Progress | null, labels: Record<string, string>, priority: number, attempt: number,
 *   max_attempts: number, timeout: number | null, created_at: string, run_at: string,
 *   started_at: string | null, finished_at: string | null, expires_at: string | null,
 *   cancel_requested_at: string | null}} Summary
 * @typedef {{id: string, event: Status, status: "pending" | "delivered" | "failed", attempts: number,
 *   last_status: number | null, last_error: string | null, next_attempt_at: string | null,
 *   delivered_at: string | null}} Delivery
 * @typedef {{url: string, events: Status[], deliveries: Delivery[]}} Webhook
 * @typedef {Summary & {params: {[name: string]: Json}, result: Json, attempts: Attempt[],
 *   webhook: Webhook | null}} Job
 * @typedef {{items: Summary[], next: string | null}} JobPage
 *
 * @typedef {{p50: number, p90: number, p99: number}} Durations
 * @typedef {{start: string, ended: Record<string, number>, durations: Durations | null}} Period
 * @typedef {{engine: string, workers: number, since: string, jobs: Record<Status, number>,
 *   slots: {taken: number, limit: number}, oldest_pending: string | null, loop_lag: number,
 *   loop_blocked: number, loop_blocked_seconds: number, minutes: Period[],
 *   quarter_hours: Period[]}} Stats
 *
 * @typedef {{[keyword: string]: any}} Schema
 * @typedef {{name: string, summary: string, description: string, params_schema: Schema,
 *   result_schema: Schema, example: {[name: string]: Json}, timeout: number | null,
 *   max_attempts: number, max_running: number | null, priority: number,
 *   figures: {jobs: Record<Status, number>, durations: Durations | null}}} Task
 *
 * @typedef {{time: string, message: string, attempt: number}} LogLine
 * @typedef {{pointer: string, detail: string, code?: string}} FieldError
 * @typedef {{type: string, title: string, status: number, detail: string,
 *   errors?: FieldError[]}} Problem
 */

export {};
