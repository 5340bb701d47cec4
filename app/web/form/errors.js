/** Which field an error belongs to. */

/** @typedef {import("./field.js").Field} Field */
/** @typedef {import("../types.js").FieldError} FieldError */

/**
 * The errors by the pointers of the fields that show them: each stands at the field that its pointer
 * names, or else at the innermost one around it.
 * @param {Field} root
 * @param {FieldError[]} errors
 * @returns {Map<string, string[]>}
 */
export function placed(root, errors) {
  const pointers = new Set(pointersOf(root, ""));
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const { pointer, detail } of errors) {
    let place = pointer;
    while (place && !pointers.has(place)) place = place.slice(0, place.lastIndexOf("/"));
    const rest = pointer.slice(place.length + 1);
    found.set(place, [...(found.get(place) ?? []), rest ? `${rest}: ${detail}` : detail]);
  }
  return found;
}

/**
 * @param {Field} field
 * @param {string} pointer
 * @returns {string[]}
 */
function pointersOf(field, pointer) {
  const inner = field.isSent.value ? field.places(pointer) : [];
  return [pointer, ...inner.flatMap(([part, place]) => pointersOf(part, place))];
}
