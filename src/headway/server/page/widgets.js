// A widget for each type: what a schema says becomes a control that reads and writes a value.
//
// A widget is {element, input, read, write}: `read` answers the value, or undefined where nothing is said, and throws
// a FieldError; `input` takes the focus and the label.

import { parseCsv, writeCsv } from "./csv.js";
import { LongInteger, button, make, newId, oneLine, toJson } from "./dom.js";
import { audioWidget, drawing, fileWidget, imageWidget } from "./media.js";
import { fromCell, helpOf, plain, resolve, tableFields, tensorShape } from "./schema.js";

const DEEPEST = 5;

export class FieldError extends Error {
  constructor(input, message) {
    super(message);
    this.input = input;
  }
}

/** The fields of an object, in its order. */
export function makeFields(schema, root, changed, depth = 0) {
  const whole = resolve(schema, root);
  const required = new Set(whole.required || []);
  return Object.entries(whole.properties || {}).map(([name, property]) => {
    const { schema: found, isNullable } = plain(property, root);
    const isRequired = required.has(name) && !isNullable;
    const isOpen = isNullable && found.type === "boolean"; // a switch can't be left alone
    const made = isOpen ? choice([true, false]) : makeWidget(found, root, changed, depth);
    return { name, schema: found, isRequired, isNullable, mustSay: required.has(name), ...frame(name, found, isRequired, made) };
  });
}

export function readFields(fields) {
  const item = {};
  for (const field of fields) {
    const { name, schema, isRequired, isNullable, mustSay, input } = field;
    clearWrong(field);
    const value = field.read();
    if (input.validationMessage && !input.checkValidity()) throw new FieldError(input, `${name}: ${input.validationMessage}`);
    if (isRequired && value === undefined) throw new FieldError(input, `${name}: a value is needed.`);
    const isEmpty = (value === "" && !isRequired && schema.default !== "") || (isNullable && Array.isArray(value) && !value.length);
    const isLeftOut = value === undefined || isEmpty;
    if (!isLeftOut) item[name] = value;
    else if (isNullable && mustSay) item[name] = null;
  }
  return item;
}

export function writeFields(fields, item) {
  for (const { name, schema, write } of fields) {
    write((item && name in item ? item[name] : schema.default) ?? undefined);
  }
}

export function markWrong(field, message) {
  field.input.setAttribute("aria-invalid", "true");
  field.wrong.textContent = message;
  field.input.focus();
}

export function clearWrong(field) {
  field.input.removeAttribute("aria-invalid");
  field.wrong.textContent = "";
}

function frame(name, schema, isRequired, made) {
  const id = newId("field");
  const { input } = made;
  const help = make("p", { id: `${id}-help`, className: "help", textContent: [helpOf(schema), made.help].filter(Boolean).join("; ") });
  const wrong = make("p", { id: `${id}-wrong`, className: "wrong" });
  const title = isRequired ? name : `${name} (optional)`;
  const body = made.element || input;
  let element;
  if (made.isGroup) {
    element = make("fieldset", {}, make("legend", { textContent: title }), help, body, wrong);
    element.setAttribute("aria-describedby", `${help.id} ${wrong.id}`);
  } else {
    input.id = id;
    input.required = isRequired && !["checkbox", "file"].includes(input.type);
    input.setAttribute("aria-describedby", `${help.id} ${wrong.id}`);
    const label = make("label", { htmlFor: id, textContent: title });
    const parts = input.type === "checkbox" ? [make("div", { className: "switch" }, body, label)] : [label, body];
    element = make("div", { className: "field" }, ...parts, help, wrong);
  }
  return { ...made, element, wrong };
}

export function makeWidget(schema, root, changed, depth = 0) {
  if (schema.enum || "const" in schema) return choice(schema.enum || [schema.const]);
  if (schema.type === "boolean") return toggle();
  if (schema.type === "integer" || schema.type === "number") return number(schema);
  if (schema.type === "string") return makeText(schema, changed);
  const shape = tensorShape(schema, root);
  if (shape) return tensor(shape, schema, changed);
  if (depth < DEEPEST) {
    const columns = tableFields(schema, root);
    if (columns) return table(columns, changed);
    if (schema.properties) return group(schema, root, changed, depth);
    if (schema.type === "array" && schema.items) return list(plain(schema.items, root).schema, root, changed, depth);
  }
  return json(schema);
}

function makeText(schema, changed) {
  const media = schema.contentMediaType || "";
  if (schema.contentEncoding !== "base64") return text(schema);
  if (media.startsWith("image/")) return imageWidget(schema, changed);
  if (media.startsWith("audio/")) return audioWidget(schema, changed);
  return fileWidget(schema, changed);
}

function text({ minLength, maxLength, format }) {
  const input = format === "date" ? make("input", { type: "date" }) : make("textarea", { rows: 3 });
  if (minLength) input.minLength = minLength;
  if (maxLength !== undefined && format !== "date") input.maxLength = maxLength;
  const read = () => (format && input.value === "" ? undefined : input.value);
  return { input, read, write: (value) => { input.value = value ?? ""; }, help: format && format !== "date" ? format : "" };
}

function number(schema) {
  const isWhole = schema.type === "integer";
  const input = make("input", { type: "number", step: schema.multipleOf || (isWhole ? 1 : "any"), inputMode: isWhole ? "numeric" : "decimal" });
  const least = schema.minimum ?? schema.exclusiveMinimum;
  const most = schema.maximum ?? schema.exclusiveMaximum;
  if (least !== undefined) input.min = least;
  if (most !== undefined) input.max = most;
  const read = () => {
    if (input.value === "") return undefined;
    const isLong = isWhole && /^[-+]?\d+$/.test(input.value) && !Number.isSafeInteger(Number(input.value));
    return isLong ? new LongInteger(String(BigInt(input.value))) : Number(input.value);
  };
  const made = { input, read, write: (value) => { input.value = value ?? ""; } };
  return least !== undefined && most !== undefined ? withSlider(made, least, most, isWhole) : made;
}

function withSlider(made, least, most, isWhole) {
  const slider = make("input", { type: "range", min: least, max: most, step: isWhole ? 1 : (most - least) / 100, tabIndex: -1 });
  slider.setAttribute("aria-hidden", "true");
  slider.addEventListener("input", () => { made.input.value = slider.value; });
  made.input.addEventListener("input", () => { slider.value = made.input.value; });
  const write = (value) => { made.write(value); slider.value = value ?? least; };
  return { ...made, write, element: make("div", { className: "slid" }, made.input, slider) };
}

function toggle() {
  const input = make("input", { type: "checkbox" });
  input.setAttribute("role", "switch");
  return { input, read: () => input.checked, write: (value) => { input.checked = value === true; } };
}

function choice(choices) {
  const options = choices.map((one, i) => make("option", { value: String(i), textContent: oneLine(one) }));
  const input = make("select", {}, make("option", { value: "", textContent: "–" }), ...options);
  const read = () => (input.value === "" ? undefined : choices[Number(input.value)]);
  const write = (value) => { input.value = value === undefined ? "" : String(choices.indexOf(value)); };
  return { input, read, write };
}

function json(schema) {
  const input = make("textarea", { rows: 4, className: "json", spellcheck: false });
  const read = () => {
    if (input.value.trim() === "") return undefined;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new FieldError(input, `This is not JSON: ${error.message}`);
    }
  };
  const write = (value) => { input.value = value === undefined ? "" : toJson(value, 2); };
  return { input, read, write, help: `JSON${schema.type ? `, ${schema.type}` : ""}` };
}

/** Numbers of any shape: JSON, or lines with commas as from a spreadsheet; a small square can be drawn. */
function tensor(shape, schema, changed) {
  const input = make("textarea", { rows: 4, className: "json", spellcheck: false });
  const read = () => {
    const given = input.value.trim();
    if (given === "") return undefined;
    const flat = given.startsWith("[") ? undefined : parseCsv(given).flat().flatMap((cell) => cell.split(/\s+/)).filter(Boolean).map(Number);
    if (flat?.some(Number.isNaN)) throw new FieldError(input, "This is neither JSON nor numbers with commas.");
    if (flat) return shaped(flat, shape, input);
    try {
      return JSON.parse(given);
    } catch (error) {
      throw new FieldError(input, `This is not JSON: ${error.message}`);
    }
  };
  const write = (value) => { input.value = value === undefined ? "" : toJson(value, 0); };
  const told = shape.map((size) => size ?? "any").join(" × ");
  const made = { input, read, write, help: `${told} numbers: JSON, or paste them with commas` };
  const [height, width] = [shape.at(-2), shape.at(-1)];
  const isSquare = height && height === width && height <= 64 && shape.slice(0, -2).every((size) => size === 1);
  if (!isSquare) return made;
  const pad = drawing(10 * width, (canvas) => {
    const most = Math.max(schema.maximum || 0, 1);
    write(shaped(pixelsOf(canvas, width).map((level) => Math.round((level / 255) * most * 1000) / 1000), shape, input));
    changed();
  });
  pad.hidden = true;
  const draw = button("Draw", () => { pad.hidden = !pad.hidden; });
  return { ...made, element: make("div", {}, input, make("div", { className: "tools" }, draw), pad) };
}

/** Grey levels of what was drawn, at the size that the model takes. */
function pixelsOf(canvas, size) {
  const small = make("canvas", { width: size, height: size });
  const context = small.getContext("2d");
  context.drawImage(canvas, 0, 0, size, size);
  return [...context.getImageData(0, 0, size, size).data].filter((_, i) => i % 4 === 0);
}

function shaped(flat, shape, input) {
  const free = shape.filter((size) => size === null).length;
  const known = shape.reduce((product, size) => product * (size ?? 1), 1);
  const isFitting = free > 1 ? false : free ? flat.length % known === 0 : flat.length === known;
  if (!isFitting) {
    const wanted = shape.map((size) => size ?? "any").join(" × ");
    throw new FieldError(input, `${flat.length} numbers do not make ${wanted}.`);
  }
  const sizes = shape.map((size) => size ?? flat.length / known);
  return nested(flat, sizes);
}

function nested(flat, [size, ...rest]) {
  if (!rest.length) return flat;
  const step = flat.length / size;
  return Array.from({ length: size }, (_, i) => nested(flat.slice(i * step, (i + 1) * step), rest));
}

/** A list of flat objects: cells to type into; what a spreadsheet copies is pasted as a whole. */
function table(columns, changed) {
  const body = make("tbody");
  const head = make("tr", {}, ...columns.map(([name]) => make("th", { scope: "col", textContent: name })), make("td"));
  const element = make("div", { className: "wide" }, make("table", {}, make("thead", {}, head), body));
  const input = button("Add a row", () => { add(); changed(); });
  const cells = () => [...body.rows].map((row) => [...row.querySelectorAll("input")].map((cell) => cell.value));

  function add(values = []) {
    const inputs = columns.map(([name], i) => {
      const cell = make("input", { value: values[i] ?? "" });
      cell.setAttribute("aria-label", `${name}, row ${body.rows.length + 1}`);
      return make("td", {}, cell);
    });
    const remove = button("Remove", () => { row.remove(); changed(); });
    const row = make("tr", {}, ...inputs, make("td", {}, remove));
    body.append(row);
  }

  element.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.getData("text");
    if (!/[\n\t]/.test(pasted.trim())) return;
    event.preventDefault();
    const rows = parseCsv(pasted);
    if (rows[0].every((cell, i) => cell === columns[i]?.[0])) rows.shift();
    if (cells().every((row) => row.every((cell) => cell === ""))) body.replaceChildren();
    rows.forEach(add);
    changed();
  });
  element.append(make("div", { className: "tools" }, input, button("Copy as CSV", () => {
    navigator.clipboard.writeText(writeCsv([columns.map(([name]) => name), ...cells()]));
  })));
  const read = () => {
    const rows = cells().filter((row) => row.some((cell) => cell !== ""));
    return rows.map((row) => Object.fromEntries(columns.map(([name, schema], i) => [name, fromCell(row[i], schema)])));
  };
  const write = (rows) => {
    body.replaceChildren();
    for (const row of rows || [{}]) add(columns.map(([name]) => (row[name] === undefined ? "" : oneLine(row[name]))));
  };
  return { input, element, read, write, isGroup: true, help: "paste from a spreadsheet" };
}

function group(schema, root, changed, depth) {
  const fields = makeFields(schema, root, changed, depth + 1);
  const element = make("div", { className: "group" }, ...fields.map((field) => field.element));
  const input = fields[0]?.input || make("input", { hidden: true });
  const read = () => {
    const value = readFields(fields);
    return Object.keys(value).length ? value : undefined;
  };
  return { input, element, read, write: (value) => writeFields(fields, value), isGroup: true };
}

function list(schema, root, changed, depth) {
  const items = make("ol", { className: "items" });
  const made = [];
  const input = button("Add one", () => { add(); changed(); });

  function add(value) {
    const one = makeWidget(schema, root, changed, depth + 1);
    one.input.setAttribute("aria-label", `item ${made.length + 1}`);
    const remove = button("Remove", () => {
      made.splice(made.indexOf(one), 1);
      row.remove();
      changed();
    });
    const row = make("li", {}, one.element || one.input, remove);
    one.write(value);
    made.push(one);
    items.append(row);
  }

  const read = () => made.map((one) => one.read()).filter((value) => value !== undefined);
  const write = (values) => {
    made.length = 0;
    items.replaceChildren();
    for (const value of Array.isArray(values) ? values : []) add(value);
  };
  return { input, element: make("div", {}, items, input), read, write, isGroup: true };
}

