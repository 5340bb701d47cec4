/** The form that submits a job of a task, and says at each field what the server does not take. */

import { checkJob, newOnce, Refused, submitJob } from "../api.js";
import { counted } from "../format.js";
import { html } from "../html.js";
import { tell } from "../parts/dialog.js";
import { ProblemBox } from "../parts/problem.js";
import { goTo, linkTo } from "../route.js";
import { useEffect, useMemo, useRef, useState } from "../vendor/preact-hooks.js";
import { signal } from "../vendor/signals.js";
import { envelopeOf } from "./envelope.js";
import { placed } from "./errors.js";
import { Field } from "./field.js";
import { Member, Members } from "./fields.js";

/** @typedef {import("../types.js").FieldError} FieldError */
/** @typedef {import("../types.js").Task} Task */
/** @typedef {import("../json.js").Json} Json */

/** What is in the form, and what came of sending it. */
class Draft {
  /**
   * @param {Task} task
   * @param {{[name: string]: Json}} start
   */
  constructor(task, { task: _, ...start }) {
    this.task = task.name;
    this.schema = envelopeOf(task.params_schema);
    this.root = new Field(this.schema, this.schema, { start });
    this.params = signal(this.root.parts.peek()[0]);
    this.isJson = signal(this.params.peek().kind === "json");
    this.errors = signal(/** @type {FieldError[]} */ ([]));
    this.problem = signal(/** @type {Error | null} */ (null));
    this.once = newOnce();
    this.sent = "";
  }

  /** Turns the fields of the params into their JSON, or the other way round; secrets are not turned into what can be read. */
  turn() {
    const old = this.params.peek();
    this.errors.value = old.errors("/params");
    if (this.errors.peek().length) return;
    this.isJson.value = !this.isJson.peek();
    const options = { name: "params", start: old.value({ withSecrets: false }) ?? {}, asJson: this.isJson.peek(), depth: 1 };
    const params = new Field(this.schema.properties.params, this.schema, options);
    this.isJson.value = params.kind === "json"; // also when the JSON does not fit into the fields
    this.root.parts.value = [params, ...this.root.parts.peek().slice(1)];
    this.params.value = params;
  }

  /**
   * Sends it; returns whether it was taken.
   * @template T
   * @param {(submission: Json) => Promise<T>} send
   * @returns {Promise<T | null>}
   */
  async send(send) {
    this.problem.value = null;
    this.errors.value = this.root.errors("");
    if (this.errors.peek().length) return null;
    try {
      const value = /** @type {{[name: string]: Json}} */ (this.root.value());
      return await send({ task: this.task, ...value });
    } catch (error) {
      this.problem.value = /** @type {Error} */ (error);
      this.errors.value = (error instanceof Refused && error.problem.errors) || [];
      return null;
    }
  }
}

/** @param {{task: Task, start: {[name: string]: Json}}} props */
export function SubmitForm({ task, start }) {
  const draft = useMemo(() => new Draft(task, start), []);
  const [isBusy, setBusy] = useState(false);
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  const errors = placed(draft.root, draft.errors.value);
  const busily = async (/** @type {() => Promise<void>} */ act) => {
    setBusy(true);
    await act();
    setBusy(false);
  };
  const onSubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (!isBusy) busily(() => submit(draft));
  };
  const onCheck = () => busily(async () => {
    if (await draft.send(checkJob)) tell("It would be accepted as it stands.");
  });
  useEffect(() => {
    /** @type {HTMLElement | null | undefined} */ (form.current?.querySelector("[aria-invalid=true]"))?.focus();
  }, [draft.errors.value]);
  const options = draft.root.places("").slice(1);
  const hasOptions = options.some(([field, place]) => field.isSent.peek() || errors.has(place));
  return html`<section><form class="submit" ref=${form} onSubmit=${onSubmit} novalidate>
    <div class="heading">
      <h2>Submit a job</h2>
      <button type="button" aria-pressed=${draft.isJson.value} onClick=${() => draft.turn()}>As JSON</button>
    </div>
    <${Wrong} draft=${draft} />
    ${errors.get("")?.map((text) => html`<p class="field-error" key=${text}>${text}</p>`)}
    <${Params} draft=${draft} errors=${errors} />
    <details class="options" open=${hasOptions}>
      <summary>When and how it runs</summary>
      ${options.map(([field, place]) => html`<${Member} key=${place} field=${field} pointer=${place} errors=${errors} />`)}
    </details>
    <div class="actions">
      <button class="primary" disabled=${isBusy}>Submit</button>
      <button type="button" disabled=${isBusy} onClick=${onCheck}>Check only</button>
    </div>
  </form></section>`;
}

/** What is wrong; not again what is said at the fields. */
/** @param {{draft: Draft}} props */
function Wrong({ draft }) {
  const errors = draft.errors.value.length;
  const problem = draft.problem.value;
  if (!errors) return problem && html`<${ProblemBox} error=${problem} />`;
  const title = problem instanceof Refused ? problem.problem.title : "Nothing was sent";
  return html`<p class="problem" role="alert"><strong>${title}:</strong> ${counted(errors, "thing")} to mend, said at the fields below.</p>`;
}

/** @param {{draft: Draft, errors: Map<string, string[]>}} props */
function Params({ draft, errors }) {
  const params = draft.params.value;
  if (params.kind !== "object") return html`<${Member} field=${params} pointer="/params" errors=${errors} />`;
  return html`
    ${errors.get("/params")?.map((text) => html`<p class="field-error" key=${text}>${text}</p>`)}
    <${Members} field=${params} pointer="/params" errors=${errors} />`;
}

/** @param {Draft} draft */
async function submit(draft) {
  const job = await draft.send((submission) => submitJob(submission, onceOf(draft)));
  if (!job) return;
  tell("Submitted.");
  goTo(linkTo("jobs", { name: job.id }));
}

/**
 * The same key for the same submission, so that one sent again after a lost answer makes no second job.
 * @param {Draft} draft
 */
function onceOf(draft) {
  const now = JSON.stringify(draft.root.value(), (_, value) => value?.source ?? value);
  if (now !== draft.sent) draft.once = newOnce();
  draft.sent = now;
  return draft.once;
}
