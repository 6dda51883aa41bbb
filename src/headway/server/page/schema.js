// What a JSON Schema says of a value, for a form: references followed, null taken apart, shapes counted.

const DEEPEST = 16;

export function resolve(schema, root) {
  let found = schema;
  for (let depth = 0; found && found.$ref && depth < DEEPEST; depth += 1) {
    const steps = found.$ref.replace(/^#\/?/, "").split("/").filter(Boolean);
    const { $ref: _, ...beside } = found;
    const target = steps.reduce((value, step) => {
      return value && value[step.replaceAll("~1", "/").replaceAll("~0", "~")];
    }, root);
    found = { ...(target || {}), ...beside };
  }
  return found || {};
}

/** The one schema of several that is not null's, if it is one. */
export function plain(schema, root) {
  const found = resolve(schema, root);
  const choices = (found.anyOf || found.oneOf || []).map((one) => resolve(one, root));
  const rest = choices.filter(({ type }) => type !== "null");
  if (choices.length && rest.length === 1) {
    const { anyOf: _, oneOf: __, ...beside } = found;
    return { schema: { ...rest[0], ...beside }, isNullable: rest.length < choices.length };
  }
  return { schema: found, isNullable: false };
}

export const isNumeric = ({ type }) => type === "number" || type === "integer";

export const isScalar = (schema) => Boolean(schema.enum) || ["string", "number", "integer", "boolean"].includes(schema.type);

/** The axes of nested lists of numbers, null for a free one; or nothing. */
export function tensorShape(schema, root) {
  const shape = [];
  let inner = schema;
  while (inner.type === "array" && inner.items && shape.length < DEEPEST) {
    shape.push(inner.minItems !== undefined && inner.minItems === inner.maxItems ? inner.minItems : null);
    inner = plain(inner.items, root).schema;
  }
  return shape.length && isNumeric(inner) ? shape : undefined;
}

/** The fields of a list of flat objects; or nothing. */
export function tableFields(schema, root) {
  if (schema.type !== "array" || !schema.items) return undefined;
  const item = plain(schema.items, root).schema;
  const fields = Object.entries(item.properties || {}).map(([name, one]) => [name, plain(one, root).schema]);
  return fields.length && fields.every(([, one]) => isScalar(one)) ? fields : undefined;
}

export function helpOf(schema) {
  const told = [schema.description];
  if (schema.minimum !== undefined) told.push(`at least ${schema.minimum}`);
  if (schema.exclusiveMinimum !== undefined) told.push(`more than ${schema.exclusiveMinimum}`);
  if (schema.maximum !== undefined) told.push(`at most ${schema.maximum}`);
  if (schema.exclusiveMaximum !== undefined) told.push(`less than ${schema.exclusiveMaximum}`);
  if (schema.maxLength !== undefined) told.push(`at most ${schema.maxLength} characters`);
  return told.filter(Boolean).join("; ");
}

/** A text from a table's cell, as a value of this type. */
export function fromCell(text, schema) {
  const isText = schema.type === "string" && !schema.format && !schema.enum;
  if (text === "" && !(isText && schema.minLength === undefined)) return undefined;
  if (isNumeric(schema)) {
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  }
  if (schema.type === "boolean") return { true: true, false: false, 1: true, 0: false }[text.toLowerCase()] ?? text;
  if (schema.enum) return schema.enum.find((one) => String(one) === text) ?? text;
  if (schema.type === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
