/** The fields as they are seen: a label, what is typed, and what is wrong with it. */

import { html } from "../html.js";
import { stringify } from "../json.js";
import { choicesOf, typeName } from "./schema.js";

/** @typedef {import("./field.js").Field} Field */
/** @typedef {Map<string, string[]>} Errors */
/** @typedef {{field: Field, pointer: string, errors: Errors}} Props */

/** Where the field of a pointer is in the page. */
export const idOf = (/** @type {string} */ pointer) => `field${pointer.replaceAll(/[^\w/]/g, (sign) => `.${sign.codePointAt(0)}.`)}`;

/** A member of an object, with its name. */
/** @param {Props} props */
export function Member({ field, pointer, errors }) {
  const { name, schema, isRequired, root } = field;
  const isComposed = ["object", "map", "list", "union"].includes(field.kind);
  const label = html`<span class="name">${name}</span> <span class="note">${typeName(schema, root)}${rangeOf(schema)}${defaultOf(field)}</span>`;
  const optional = !isRequired && html`<input type="checkbox" class="send" checked=${field.isSent.value}
    aria-label=${`Send ${name}`} onChange=${() => field.send(!field.isSent.value)} />`;
  const description = schema.description && html`<p class="note" id=${`${idOf(pointer)}-note`}>${schema.description}</p>`;
  return html`<div class=${`field ${field.isSent.value ? "" : "unsent"}`}>
    ${isComposed ? html`<fieldset>
      <legend>${optional}${label}</legend>
      ${description}
      <${ErrorTexts} pointer=${pointer} errors=${errors} />
      ${field.isSent.value && html`<div class="nested"><${Input} field=${field} pointer=${pointer} errors=${errors} /></div>`}
    </fieldset>` : html`
      <div class="label">${optional}<label for=${idOf(pointer)}>${label}</label></div>
      ${description}
      <${Input} field=${field} pointer=${pointer} errors=${errors} />
      <${ErrorTexts} pointer=${pointer} errors=${errors} />`}
  </div>`;
}

/** @param {import("../types.js").Schema} schema */
function rangeOf(schema) {
  const limits = [
    ["≥", schema.minimum], [">", schema.exclusiveMinimum], ["≤", schema.maximum], ["<", schema.exclusiveMaximum],
    ["length ≥", schema.minLength], ["length ≤", schema.maxLength], ["items ≥", schema.minItems], ["items ≤", schema.maxItems],
  ];
  return limits.filter(([, value]) => value !== undefined).map(([sign, value]) => `, ${sign} ${value}`).join("");
}

/** @param {Field} field */
function defaultOf({ schema, isRequired }) {
  if (isRequired || schema.writeOnly) return "";
  return "default" in schema ? `, by default ${stringify(schema.default)}` : ", optional";
}

/** @param {Omit<Props, "field">} props */
function ErrorTexts({ pointer, errors }) {
  const texts = errors.get(pointer);
  if (!texts) return null;
  return html`<div class="field-error" id=${`${idOf(pointer)}-error`}>${texts.map((text) => html`<p key=${text}>${text}</p>`)}</div>`;
}

/** @param {Props} props */
function Input(props) {
  switch (props.field.kind) {
    case "object":
      return html`<${Members} ...${props} />`;
    case "map":
      return html`<${Rows} ...${props} />`;
    case "list":
      return html`<${Items} ...${props} />`;
    case "union":
      return html`<${Union} ...${props} />`;
    default:
      return html`<${Control} ...${props} />`;
  }
}

/** The members of an object. */
/** @param {Props} props */
export function Members({ field, pointer, errors }) {
  const places = field.places(pointer);
  if (!places.length) return html`<p class="empty">It takes nothing.</p>`;
  return places.map(([part, place]) => html`<${Member} key=${place} field=${part} pointer=${place} errors=${errors} />`);
}

/** @param {Props} props */
function Items({ field, pointer, errors }) {
  const places = field.places(pointer);
  const fixed = field.schema.prefixItems?.length ?? 0;
  return html`<div class="rows">
    ${places.map(([part, place], index) => html`<div class="row" key=${place}>
      <span class="note">${index + 1}</span>
      <div>
        <${Input} field=${part} pointer=${place} errors=${errors} />
        <${ErrorTexts} pointer=${place} errors=${errors} />
      </div>
      ${index >= fixed && html`<button type="button" onClick=${() => field.remove(index)}>Remove<span class="unseen"> item ${index + 1} of ${field.name}</span></button>`}
    </div>`)}
    ${places.length < (field.schema.maxItems ?? Infinity) && html`<button type="button" onClick=${() => field.add()}>Add an item<span class="unseen"> to ${field.name}</span></button>`}
  </div>`;
}

/** @param {Props} props */
function Rows({ field, pointer, errors }) {
  return html`<div class="rows">
    ${field.places(pointer).map(([part, place], index) => html`<div class="row" key=${index}>
      <input class="key" aria-label=${`Name ${index + 1} in ${field.name}`} value=${field.names.value[index]} autocomplete="off" spellcheck="false"
        onInput=${(/** @type {any} */ event) => field.rename(index, event.target.value)} />
      <div>
        <${Input} field=${part} pointer=${place} errors=${errors} />
        <${ErrorTexts} pointer=${place} errors=${errors} />
      </div>
      <button type="button" onClick=${() => field.remove(index)}>Remove<span class="unseen"> ${field.names.value[index]}</span></button>
    </div>`)}
    <button type="button" onClick=${() => field.add()}>Add a name<span class="unseen"> to ${field.name}</span></button>
  </div>`;
}

/** @param {Props} props */
function Union({ field, pointer, errors }) {
  const { alternatives } = field;
  const part = field.parts.value[0];
  const choose = (/** @type {any} */ event) => field.choose(Number(event.target.value));
  return html`<div class="union">
    ${alternatives.length > 1 && html`<select aria-label=${`Kind of ${pointer.slice(pointer.lastIndexOf("/") + 1)}`} value=${field.text.value} onChange=${choose}>
      ${alternatives.map((one, index) => html`<option value=${String(index)} key=${index}>${one.title ?? typeName(one, field.root)}</option>`)}
    </select>`}
    <div><${Input} field=${part} pointer=${pointer} errors=${errors} /></div>
  </div>`;
}

/** What counts while nothing is sent. */
/** @param {import("../types.js").Schema} schema */
const hintOf = (schema) => (schema.default == null || schema.writeOnly ? schema.format : String(schema.default));

/** What holds one value. */
/** @param {Props} props */
function Control({ field, pointer, errors }) {
  const { kind, schema } = field;
  const isBad = errors.has(pointer);
  const id = idOf(pointer);
  const told = [schema.description && `${id}-note`, isBad && `${id}-error`].filter(Boolean).join(" ");
  const onInput = (/** @type {any} */ event) => field.type(event.target.value);
  const common = {
    id,
    value: field.text.value,
    "aria-label": field.name ? undefined : `value of ${pointer.slice(1)}`,
    "aria-invalid": isBad || undefined,
    "aria-describedby": told || undefined,
    "aria-required": field.isRequired && kind !== "choice" ? true : undefined,
    autocomplete: kind === "secret" ? "new-password" : "off",
    spellcheck: false,
    placeholder: field.isSent.value ? schema.format : hintOf(schema),
  };
  if (kind === "choice") {
    return html`<select ...${{ ...common, autocomplete: undefined, spellcheck: undefined, placeholder: undefined }} onChange=${onInput}>
      ${choicesOf(schema).map((choice, index) => html`<option value=${String(index)} key=${index}>${typeof choice === "string" ? choice : stringify(choice)}</option>`)}
    </select>`;
  }
  if (kind === "secret") return html`<input type="password" ...${common} onInput=${onInput} />`;
  if (kind === "number") return html`<input inputmode=${schema.type === "integer" ? "numeric" : "decimal"} class="number" ...${common} onInput=${onInput} />`;
  if (kind === "text" && schema.format) return html`<input ...${common} onInput=${onInput} />`;
  return html`<textarea class=${kind} rows=${kind === "json" ? Math.min(12, 1 + field.text.value.split("\n").length) : 1} ...${common} onInput=${onInput} />`;
}
