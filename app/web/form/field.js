/** The state of a form: a tree of fields that follows a JSON Schema, and the JSON value that it stands for. */

import { numberOf, parse, stringify } from "../json.js";
import { signal } from "../vendor/signals.js";
import { alternativeOf, alternativesOf, choicesOf, holds, isRecord, itemSchema, kindOf, mapSchema, resolved } from "./schema.js";

/** @typedef {import("../types.js").Schema} Schema */
/** @typedef {import("../types.js").FieldError} FieldError */
/** @typedef {import("../json.js").Json} Json */

const DEEPEST = 12; // levels, after which JSON is asked for: a schema may contain itself

/** What stands in the place of a secret that is not told. */
const MASK = "**********";

/**
 * @typedef {object} Options
 * @property {string} [name]
 * @property {boolean} [isRequired]
 * @property {Json} [start] the value to begin with; undefined for none
 * @property {boolean} [asJson] whether it is typed as JSON whatever the schema says
 * @property {number} [depth]
 */

export class Field {
  /**
   * @param {Schema} schema
   * @param {Schema} root the schema that has the definitions
   * @param {Options} options
   */
  constructor(schema, root, { name = "", isRequired = true, start, asJson = false, depth = 0 } = {}) {
    this.schema = resolved(schema, root);
    this.root = root;
    this.name = name;
    this.isRequired = isRequired;
    this.depth = depth;
    const isOdd = start !== undefined && !holds(this.schema, root, start);
    this.kind = asJson || isOdd || depth > DEEPEST ? "json" : kindOf(this.schema);
    /** Whether it is sent at all; always, if it is required. */
    this.isSent = signal(isRequired || start !== undefined);
    /** Whether anybody has given it a value: a required text that nobody has touched is missing, not empty. */
    this.isTouched = start !== undefined && !(this.kind === "secret" && start === MASK);
    /** What is typed, or the index of what is chosen. */
    this.text = signal("");
    /** The fields of an object or a list. */
    this.parts = signal(/** @type {Field[]} */ ([]));
    /** The names of a map, one for each part. */
    this.names = signal(/** @type {string[]} */ ([]));
    this.isBuilt = false;
    this.start = start;
    if (this.isSent.peek() || this.kind === "choice") this.build();
  }

  /** Makes what it consists of, once it is needed. */
  build() {
    if (this.isBuilt) return;
    this.isBuilt = true;
    const { schema, root } = this;
    const hasDefault = schema.default !== undefined && schema.default !== null;
    if (this.start === undefined && hasDefault && holds(schema, root, schema.default)) this.start = schema.default;
    const { start } = this;
    switch (this.kind) {
      case "object":
        this.parts.value = this.members();
        break;
      case "map":
        this.names.value = isRecord(start) ? Object.keys(start) : [];
        this.parts.value = Object.values(isRecord(start) ? start : {}).map((item) => this.part(mapSchema(schema, root), item));
        break;
      case "list":
        this.parts.value = this.firstItems();
        break;
      case "union":
        this.choose(alternativeOf(this.alternatives, root, start), start);
        break;
      case "choice":
        this.text.value = String(Math.max(0, choicesOf(schema).findIndex((one) => String(one) === String(start))));
        break;
      default:
        this.text.value = this.firstText();
    }
  }

  firstText() {
    const { start } = this;
    if (start === undefined || (this.kind === "secret" && start === MASK)) return "";
    if (this.kind === "json") return stringify(start, 2);
    return typeof start === "string" ? start : stringify(start);
  }

  members() {
    const { properties = {}, required = [] } = this.schema;
    return Object.entries(properties).map(([name, schema]) => {
      const start = isRecord(this.start) && Object.hasOwn(this.start, name) ? this.start[name] : undefined;
      const isRequired = required.includes(name);
      // A default of null is what leaving it out means.
      const isLeftOut = start === null && !isRequired && /** @type {Schema} */ (schema).default === null;
      return this.part(/** @type {Schema} */ (schema), isLeftOut ? undefined : start, { name, isRequired });
    });
  }

  firstItems() {
    const start = Array.isArray(this.start) ? this.start : [];
    const least = Math.max(start.length, this.schema.prefixItems?.length ?? 0, this.schema.minItems ?? 0);
    return Array.from({ length: Math.min(least, 100) }, (_, index) => this.item(index, start[index])).concat(
      start.slice(100).map((item, index) => this.item(index + 100, item)),
    );
  }

  /**
   * @param {number} index
   * @param {Json} [start]
   */
  item(index, start) {
    return this.part(itemSchema(this.schema, index, this.root), start);
  }

  /**
   * @param {Schema} schema
   * @param {Json} [start]
   * @param {Options} options
   */
  part(schema, start, options = {}) {
    return new Field(schema, this.root, { ...options, start, depth: this.depth + 1 });
  }

  /** The alternatives of a union; without null, if leaving it out means that. */
  get alternatives() {
    const all = alternativesOf(this.schema, this.root);
    const isNullDefault = !this.isRequired && this.schema.default === null;
    const others = all.filter((one) => one.type !== "null");
    return isNullDefault && others.length ? others : all;
  }

  /**
   * Takes one of the alternatives.
   * @param {number} index
   * @param {Json} [start]
   */
  choose(index, start) {
    this.text.value = String(index);
    this.parts.value = [this.part(this.alternatives[index], start)];
  }

  /** @param {boolean} isSent */
  send(isSent) {
    if (isSent) this.build();
    this.isSent.value = isSent;
  }

  /** @param {string} text */
  type(text) {
    this.isTouched = true;
    this.send(true);
    this.text.value = text;
  }

  /** Adds an item to a list, or a row to a map. */
  add() {
    const part = this.kind === "map" ? this.part(mapSchema(this.schema, this.root)) : this.item(this.parts.peek().length);
    if (this.kind === "map") this.names.value = [...this.names.peek(), ""];
    this.parts.value = [...this.parts.peek(), part];
  }

  /** @param {number} index */
  remove(index) {
    this.names.value = this.names.peek().filter((_, at) => at !== index);
    this.parts.value = this.parts.peek().filter((_, at) => at !== index);
  }

  /**
   * @param {number} index
   * @param {string} name
   */
  rename(index, name) {
    this.names.value = this.names.peek().map((old, at) => (at === index ? name : old));
  }

  /**
   * The value that it stands for; undefined when there is none to be sent.
   * @param {{withSecrets?: boolean}} options
   * @returns {Json | undefined}
   */
  value(options = {}) {
    if (!this.isSent.peek()) return undefined;
    const text = this.text.peek();
    const parts = this.parts.peek();
    switch (this.kind) {
      case "object":
        return members(parts.map((part) => [part.name, part.value(options)]));
      case "map":
        return members(parts.map((part, index) => [this.names.peek()[index], part.value(options) ?? null]));
      case "list":
        return parts.map((part) => part.value(options) ?? null);
      case "union":
        return parts[0].value(options);
      case "choice":
        return choicesOf(this.schema)[Number(text)];
      case "json":
        return text.trim() ? parse(text) : undefined;
      case "number":
        // What is no number is sent as it stands: the server says what is wrong with it.
        return text.trim() ? (numberOf(text.trim()) ?? text) : undefined;
      case "secret":
        return this.isTouched && options.withSecrets !== false ? text : undefined;
      default:
        return text || this.isTouched ? text : undefined;
    }
  }

  /**
   * What keeps it from being a value at all.
   * @param {string} pointer
   * @returns {FieldError[]}
   */
  errors(pointer) {
    if (!this.isSent.peek()) return [];
    if (this.kind === "json") return jsonErrors(this.text.peek(), pointer);
    if (this.start === MASK && !this.isTouched) return [{ pointer, detail: "Secrets are not shown again: type it." }];
    const names = this.names.peek();
    const doubled = names.filter((name, index) => names.indexOf(name) < index);
    return [
      ...doubled.map((name) => ({ pointer, detail: `the name ${stringify(name)} is there twice` })),
      ...this.places(pointer).flatMap(([part, place]) => part.errors(place)),
    ];
  }

  /**
   * Its parts and where they are in the value.
   * @param {string} pointer its own place
   * @returns {[Field, string][]}
   */
  places(pointer) {
    return this.parts.value.map((part, index) => {
      if (this.kind === "union") return [part, pointer];
      const name = this.kind === "object" ? part.name : (this.names.value[index] ?? String(index));
      return [part, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`];
    });
  }
}

/**
 * @param {[string, Json | undefined][]} entries
 * @returns {{[name: string]: Json}}
 */
function members(entries) {
  const there = entries.filter((entry) => entry[1] !== undefined);
  return Object.fromEntries(/** @type {[string, Json][]} */ (there));
}

/**
 * @param {string} text
 * @param {string} pointer
 */
function jsonErrors(text, pointer) {
  try {
    if (text.trim()) parse(text);
    return [];
  } catch (error) {
    return [{ pointer, detail: `this is no JSON: ${/** @type {Error} */ (error).message}` }];
  }
}
