/**
 * JSON in which no number changes on its way through: one that JavaScript cannot hold as it stands
 * (9007199254740993, 1.0, 1e400) is kept as the text that it was.
 */

/** A number as it was written. */
export class Exact {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }

  toString() {
    return this.source;
  }

  /** The nearest number, for whoever reckons with it. */
  valueOf() {
    return Number(this.source);
  }
}

/** @typedef {null | boolean | number | string | Exact | any[] | {[name: string]: any}} Json */

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WHOLE_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const MAY_CHANGE = /\d{16}|\d[.eE]|-0/;

/**
 * The value of a JSON text; throws SyntaxError for what is none.
 * @param {string} text
 * @returns {Json}
 */
export function parse(text) {
  const plain = JSON.parse(text);
  return MAY_CHANGE.test(text) ? new Reader(text).value() : plain;
}

/**
 * A number as it was typed: exactly that, or null if it is no JSON number.
 * @param {string} text
 * @returns {number | Exact | null}
 */
export function numberOf(text) {
  return WHOLE_NUMBER.test(text) ? exactly(text) : null;
}

/** @param {string} source */
function exactly(source) {
  const value = Number(source);
  return String(value) === source ? value : new Exact(source);
}

/** Reads a text that JSON.parse has accepted: so it has nothing to complain of. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** @returns {Json} */
  value() {
    const first = this.next();
    if (first === '"') return this.string();
    if (first === "[") return this.items("]", () => this.value());
    if (first === "{") return Object.fromEntries(this.items("}", () => this.member()));
    for (const [word, value] of /** @type {[string, Json][]} */ (WORDS)) {
      if (!this.text.startsWith(word, this.at)) continue;
      this.at += word.length;
      return value;
    }
    NUMBER.lastIndex = this.at;
    const source = /** @type {RegExpExecArray} */ (NUMBER.exec(this.text))[0];
    this.at += source.length;
    return exactly(source);
  }

  /** The next character that is no white space. */
  next() {
    while (" \t\n\r".includes(this.text[this.at])) this.at += 1;
    return this.text[this.at];
  }

  string() {
    const start = this.at;
    do {
      this.at = this.text.indexOf('"', this.at + 1);
    } while (this.isEscaped());
    this.at += 1;
    return JSON.parse(this.text.slice(start, this.at));
  }

  /** Whether the character here stands behind an odd number of backslashes. */
  isEscaped() {
    let before = this.at;
    while (this.text[before - 1] === "\\") before -= 1;
    return (this.at - before) % 2 === 1;
  }

  /** @returns {[string, Json]} */
  member() {
    this.next();
    const name = this.string();
    this.next();
    this.at += 1; // the colon
    return [name, this.value()];
  }

  /**
   * @template T
   * @param {string} end
   * @param {() => T} read
   * @returns {T[]}
   */
  items(end, read) {
    const items = [];
    this.at += 1; // the bracket
    while (this.next() !== end) {
      items.push(read());
      if (this.next() === ",") this.at += 1;
    }
    this.at += 1;
    return items;
  }
}

const WORDS = [["true", true], ["false", false], ["null", null]];
const JSON_WORDS = { true: "true", false: "false", null: "null" };
const PYTHON_WORDS = { true: "True", false: "False", null: "None" };

/**
 * The JSON text of a value; `indent` is the number of spaces for each level, 0 for one line.
 * @param {Json} value
 */
export function stringify(value, indent = 0) {
  return written(value, JSON_WORDS, indent, "");
}

/**
 * The value as a literal of Python.
 * @param {Json} value
 */
export function pythonOf(value, indent = 0) {
  return written(value, PYTHON_WORDS, indent, "");
}

/**
 * @param {Json} value
 * @param {{true: string, false: string, null: string}} words
 * @param {number} indent
 * @param {string} margin
 * @returns {string}
 */
function written(value, words, indent, margin) {
  if (value === null) return words.null;
  if (typeof value === "boolean") return value ? words.true : words.false;
  if (value instanceof Exact) return value.source;
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = margin + " ".repeat(indent);
  const isList = Array.isArray(value);
  const space = indent ? " " : "";
  const parts = isList
    ? value.map((item) => written(item, words, indent, deeper))
    : Object.entries(value).map(
        ([name, item]) => `${JSON.stringify(name)}:${space}${written(item, words, indent, deeper)}`,
      );
  const [open, close] = isList ? "[]" : "{}";
  if (!parts.length) return open + close;
  if (!indent) return open + parts.join(",") + close;
  return `${open}\n${parts.map((part) => deeper + part).join(",\n")}\n${margin}${close}`;
}
