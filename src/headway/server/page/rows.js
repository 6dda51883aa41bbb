// Many rows: a table is uploaded, asked about in parts, and comes back with its answers.

import { parseCsv, writeCsv } from "./csv.js";
import { at, oneLine, save, toJson } from "./dom.js";
import { fromCell, plain } from "./schema.js";
import { modelPath, postJson } from "./server.js";

const PART_ROWS = 64;
const MOST_TRIES = 6;
const state = { model: null, stop: null, done: [] };

export function offerRows(model) {
  state.stop?.abort();
  state.model = model;
  state.done = [];
  const names = Object.keys(model.input_schema.properties || {});
  at("rows").hidden = model.stream || !names.length;
  at("rows-help").textContent = `A CSV whose columns are ${names.join(", ")}; or JSON Lines, one object a line.`;
  at("rows-file").value = "";
  at("rows-progress").hidden = at("rows-save").hidden = at("rows-stop").hidden = true;
  at("rows-state").textContent = "";
}

/** Items from the text of a file. Throws with the line that is at fault. */
export function itemsOf(text, schema) {
  if (/^\s*[{[]/.test(text)) return fromJson(text);
  const [names, ...rows] = parseCsv(text);
  if (!names) throw new Error("The file is empty.");
  const properties = schema.properties || {};
  const unknown = names.filter((name) => !Object.hasOwn(properties, placeOf(name, properties)[0]));
  if (unknown.length) throw new Error(`No input is called ${unknown.join(", ")}; expected ${Object.keys(properties).join(", ")}.`);
  return rows.map((row, i) => {
    if (row.length !== names.length) throw new Error(`Row ${i + 1} has ${row.length} cells; expected ${names.length}.`);
    return itemOf(names, row, schema);
  });
}

function fromJson(text) {
  if (text.trimStart().startsWith("[")) return JSON.parse(text);
  return text.split("\n").filter((line) => line.trim()).map((line, i) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new Error(`Line ${i + 1} is not JSON: ${error.message}`);
    }
  });
}

/** The input that a column is for, and the field of it after a dot; an input's own name may have dots. */
function placeOf(name, properties) {
  const dot = name.indexOf(".");
  return dot < 0 || Object.hasOwn(properties, name) ? [name] : [name.slice(0, dot), name.slice(dot + 1)];
}

function itemOf(names, row, root) {
  const item = {};
  names.forEach((name, i) => {
    const [outer, inner] = placeOf(name, root.properties);
    let { schema } = plain(root.properties[outer], root);
    if (inner !== undefined) schema = plain(schema.properties?.[inner] || {}, root).schema;
    const value = fromCell(row[i], schema);
    if (value === undefined) return;
    if (inner === undefined) item[outer] = value;
    else item[outer] = { ...item[outer], [inner]: value };
  });
  return item;
}

async function run() {
  const [file] = at("rows-file").files;
  if (!file) return;
  const { model } = state;
  state.stop?.abort();
  const stop = (state.stop = new AbortController());
  state.done = [];
  at("rows-save").hidden = true;
  try {
    const items = itemsOf(await file.text(), model.input_schema);
    at("rows-progress").max = items.length || 1;
    at("rows-progress").hidden = at("rows-stop").hidden = false;
    for (let i = 0; i < items.length; i += PART_ROWS) {
      const part = items.slice(i, i + PART_ROWS);
      const outcomes = await askPart(model, part, stop.signal);
      part.forEach((item, j) => state.done.push({ item, ...outcomes[j] }));
      tell(items.length);
    }
    tell(items.length);
  } catch (error) {
    if (error.name === "AbortError") at("rows-state").textContent = `Stopped after ${state.done.length} rows.`;
    else at("rows-state").textContent = `${error.message}${state.done.length ? ` ${state.done.length} rows are done.` : ""}`;
  } finally {
    at("rows-stop").hidden = true;
    at("rows-save").hidden = !state.done.length;
  }
}

/** Each row's own outcome; a server that is busy is asked again when it says so. */
async function askPart(model, part, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      const answer = await postJson(modelPath(model.name, "predict?errors=item"), toJson(part), { signal });
      return await answer.json();
    } catch (error) {
      if (![429, 503].includes(error.status) || tries === MOST_TRIES) throw error;
      await new Promise((done) => { setTimeout(done, 1000 * (error.retryAfterS || 1)); });
      signal.throwIfAborted();
    }
  }
}

function tell(total) {
  const { done } = state;
  const failed = done.filter(({ error }) => error !== undefined).length;
  at("rows-progress").value = done.length;
  at("rows-state").textContent = `${done.length} of ${total} rows${failed ? `, ${failed} refused` : ""}`;
}

/** The inputs, the answer's fields and the error, a column each. */
function asTable(done) {
  const flat = done.map(({ item, output, error }) => ({ ...flattened(item, ""), ...flattened(output, "output"), ...(error === undefined ? {} : { error }) }));
  const names = [...new Set(flat.flatMap(Object.keys))];
  const rows = flat.map((row) => names.map((name) => (typeof row[name] === "object" ? oneLine(row[name]) : row[name])));
  return [names, ...rows];
}

function flattened(value, prefix) {
  if (value === undefined) return {};
  if (value === null || typeof value !== "object" || Array.isArray(value)) return { [prefix || "value"]: value };
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [prefix ? `${prefix}.${name}` : name, one]));
}

export function startRows() {
  at("rows-file").addEventListener("change", run);
  at("rows-stop").addEventListener("click", () => state.stop?.abort());
  at("rows-save").addEventListener("click", () => {
    save(`${state.model.name}.csv`, [writeCsv(asTable(state.done))], "text/csv");
  });
}
