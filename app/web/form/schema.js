/** What a JSON Schema asks for, in the terms of a form. */

import { Exact } from "../json.js";

/** @typedef {import("../types.js").Schema} Schema */
/** @typedef {import("../json.js").Json} Json */

/**
 * @typedef {"text" | "secret" | "number" | "choice" | "object" | "map" | "list" | "union" | "json"} Kind
 */

/**
 * The schema itself, where it is only a reference to one; what stands beside a reference counts too.
 * @param {Schema | boolean} schema
 * @param {Schema} root the one that has the definitions
 * @returns {Schema}
 */
export function resolved(schema, root) {
  if (typeof schema === "boolean") return {};
  const target = schema.$ref ?? (schema.allOf?.length === 1 ? schema.allOf[0] : null);
  if (target === null) return schema;
  const { $ref, allOf, ...beside } = schema;
  const found = typeof target === "string" ? definition(target, root) : target;
  return { ...resolved(found, root), ...beside };
}

/**
 * @param {string} reference such as `#/$defs/Order`
 * @param {Schema} root
 * @returns {Schema}
 */
function definition(reference, root) {
  const parts = reference.replace(/^#\/?/, "").split("/").map(unescaped);
  return parts.reduce((found, part) => found?.[part], root) ?? {};
}

/** @param {string} part */
const unescaped = (part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");

/**
 * How a value of this schema is asked for; whatever is not known here is asked for as JSON.
 * @param {Schema} schema resolved
 * @returns {Kind}
 */
export function kindOf(schema) {
  if (schema.writeOnly && (schema.type ?? "string") === "string") return "secret";
  if ("const" in schema || schema.enum) return "choice";
  if (schema.anyOf || schema.oneOf || Array.isArray(schema.type)) return "union";
  switch (schema.type) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
    case "null":
      return "choice";
    case "array":
      return "list";
    case "object":
      return kindOfObject(schema);
    default:
      return "json";
  }
}

/**
 * @param {Schema} schema
 * @returns {Kind}
 */
function kindOfObject({ properties, additionalProperties }) {
  if (properties) return additionalProperties ? "json" : "object";
  return additionalProperties === false ? "object" : "map";
}

/**
 * The values that may be chosen from.
 * @param {Schema} schema
 * @returns {Json[]}
 */
export function choicesOf(schema) {
  if ("const" in schema) return [schema.const];
  if (schema.enum) return schema.enum;
  return schema.type === "null" ? [null] : [true, false];
}

/**
 * The alternatives of a union, resolved.
 * @param {Schema} schema
 * @param {Schema} root
 * @returns {Schema[]}
 */
export function alternativesOf(schema, root) {
  const { anyOf, oneOf, type, ...beside } = schema;
  if (anyOf || oneOf) return (anyOf ?? oneOf).map((/** @type {Schema} */ one) => resolved(one, root));
  return type.map((/** @type {string} */ one) => ({ ...beside, type: one }));
}

/**
 * The schema of an item of an array.
 * @param {Schema} schema
 * @param {number} index
 * @param {Schema} root
 */
export const itemSchema = (schema, index, root) =>
  resolved(schema.prefixItems?.[index] ?? schema.items ?? {}, root);

/**
 * Whether a form of this schema can hold a value: as it is, with nothing lost.
 * @param {Schema} schema resolved
 * @param {Schema} root
 * @param {Json} value
 * @returns {boolean}
 */
export function holds(schema, root, value) {
  switch (kindOf(schema)) {
    case "text":
    case "secret":
      return typeof value === "string";
    case "number":
      return typeof value === "number" || value instanceof Exact;
    case "choice":
      return choicesOf(schema).some((choice) => String(choice) === String(value) && !isComposed(value));
    case "list":
      return Array.isArray(value) && value.every((item, index) => holds(itemSchema(schema, index, root), root, item));
    case "map":
      return isRecord(value) && Object.values(value).every((item) => holds(mapSchema(schema, root), root, item));
    case "object":
      return isRecord(value) && holdsMembers(schema, root, value);
    case "union":
      return alternativesOf(schema, root).some((one) => holds(one, root, value));
    default:
      return true;
  }
}

/**
 * @param {Schema} schema
 * @param {Schema} root
 * @param {{[name: string]: Json}} value
 */
function holdsMembers({ properties = {} }, root, value) {
  return Object.entries(value).every(
    ([name, member]) => Object.hasOwn(properties, name) && holds(resolved(properties[name], root), root, member),
  );
}

/**
 * Which alternative a value is meant to be: the first that holds it and lacks nothing, or else nearly nothing.
 * @param {Schema[]} alternatives
 * @param {Schema} root
 * @param {Json | undefined} value
 */
export function alternativeOf(alternatives, root, value) {
  if (value === undefined) return 0;
  const lacks = (/** @type {Schema} */ { required = [] }) =>
    isRecord(value) && required.some((/** @type {string} */ name) => !Object.hasOwn(value, name));
  const holding = alternatives.filter((one) => holds(one, root, value));
  const meant = holding.find((one) => !lacks(one)) ?? holding[0];
  return Math.max(0, alternatives.indexOf(meant));
}

/**
 * The schema of what a map holds.
 * @param {Schema} schema
 * @param {Schema} root
 */
export const mapSchema = ({ additionalProperties = {} }, root) => resolved(additionalProperties, root);

/**
 * @param {Json | undefined} value
 * @returns {value is {[name: string]: Json}}
 */
export const isRecord = (value) => isComposed(value) && !Array.isArray(value);

/** @param {Json | undefined} value */
const isComposed = (value) => typeof value === "object" && value !== null && !(value instanceof Exact);

/**
 * What a schema asks for, in a few words.
 * @param {Schema} schema resolved
 * @param {Schema} root
 * @returns {string}
 */
export function typeName(schema, root) {
  switch (kindOf(schema)) {
    case "secret":
      return "secret";
    case "choice":
      return schema.type === "boolean" ? "true or false" : schema.type === "null" ? "null" : "one of a few";
    case "union":
      return alternativesOf(schema, root).map((one) => typeName(one, root)).join(" or ");
    case "list":
      return "list";
    case "map":
      return "names and values";
    case "object":
      return schema.title ?? "object";
    case "json":
      return "any JSON";
    default:
      return schema.format ?? (schema.type === "string" ? "text" : schema.type);
  }
}
