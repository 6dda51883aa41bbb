// What the page asks where there is no server: the model runs here, in onnxruntime-web. The same names as the server's
// own `server.js`, and the same paths and answers, so that nothing else on the page knows.

import * as ort from "../ort/ort.wasm.min.mjs";
import { LongInteger, toJson } from "./dom.js";

const HOME = new URL("../", import.meta.url);
ort.env.wasm.wasmPaths = new URL("ort/", HOME).href;

const FLOATS = { float32: Float32Array, float64: Float64Array, float16: globalThis.Float16Array };
const INTEGERS = {
  int8: [Int8Array, 8], int16: [Int16Array, 16], int32: [Int32Array, 32], int64: [BigInt64Array, 64],
  uint8: [Uint8Array, 8], uint16: [Uint16Array, 16], uint32: [Uint32Array, 32], uint64: [BigUint64Array, 64],
};
const TYPES = { bytes: "string" };
const models = fetch(new URL("models.json", HOME)).then((answer) => answer.json());
const sessions = new Map();

export const hasKey = () => false;

export function useKey() {}

export class Refused extends Error {
  constructor(status, message, retryAfterS = 0) {
    super(message);
    Object.assign(this, { status, retryAfterS });
  }
}

export async function ask(path, { body, signal } = {}) {
  const [place, query = ""] = path.split("?", 2);
  const [first, name, verb] = place.split("/").map(decodeURIComponent);
  const known = await models;
  if (place === "health/live") return answered({ live: true });
  if (place === "models") return answered({ models: known.map((one) => ({ name: one.name })) });
  const model = first === "models" && known.find((one) => one.name === name);
  if (!model) throw new Refused(404, "This page has no server to ask for that.");
  if (!verb) return answered(model);
  const asked = JSON.parse(body, exactly);
  const answer = Array.isArray(asked) ? await runAll(model, asked, query, signal) : await run(model, asked);
  signal?.throwIfAborted();
  return answered(answer);
}

export async function getJson(path) {
  return (await ask(path)).json();
}

export function postJson(path, text, options = {}) {
  return ask(path, { ...options, body: text });
}

export const modelPath = (name, verb = "") => `models/${encodeURIComponent(name)}${verb && `/${verb}`}`;

function answered(value) {
  return new Response(toJson(value), { headers: { "content-type": "application/json" } });
}

/** A whole number that a JavaScript number can't hold keeps its digits, where the browser tells them. */
function exactly(_, value, { source } = {}) {
  const isLong = typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? "");
  return isLong ? BigInt(source) : value;
}

async function runAll(model, items, query, signal) {
  const outcomes = [];
  for (const item of items) {
    signal?.throwIfAborted();
    try {
      outcomes.push({ output: await run(model, item) });
    } catch (error) {
      if (!(error instanceof Refused) || !query.includes("errors=item")) throw error;
      outcomes.push({ error: error.message, code: "bad_input" });
    }
  }
  return query.includes("errors=item") ? outcomes : outcomes.map(({ output }) => output);
}

/** The answer for one item: the value of the only output, or an object of all. */
async function run(model, item) {
  const { inputs, outputs, labels } = model;
  const names = inputs.map((one) => one.name);
  const unknown = Object.keys(item).filter((name) => !names.includes(name));
  if (unknown.length) throw new Refused(400, `no input is called ${unknown.join(", ")}; expected ${names.join(", ")}`);
  const feeds = Object.fromEntries(inputs.map((spec) => [spec.to, tensorOf(spec, item[spec.name])]));
  const session = await sessionOf(model);
  let found;
  try {
    found = await session.run(feeds, outputs.map((one) => one.name));
  } catch (error) {
    throw new Refused(500, `The model failed on this input: ${error.message}`);
  }
  const values = outputs.map((spec) => valueOf(spec, found[spec.name]));
  for (const tensor of Object.values(found)) tensor.dispose();
  if (labels.length) return Object.fromEntries(labels.slice(0, values[0].length).map((label, i) => [label, values[0][i]]));
  return outputs.length === 1 ? values[0] : Object.fromEntries(outputs.map(({ name }, i) => [name, values[i]]));
}

/** The model, opened once: a browser that fails to is asked again. */
function sessionOf({ name, file, beside }) {
  if (!sessions.has(name)) {
    const model = new URL(`model/${file}`, HOME);
    const externalData = beside.map((path) => ({ path, data: new URL(path, model).href }));
    const opening = ort.InferenceSession.create(model.href, { externalData });
    sessions.set(name, opening);
    opening.catch(() => sessions.delete(name));
  }
  return sessions.get(name);
}

// From JSON to tensors

function tensorOf(spec, value) {
  if (value === undefined) throw new Refused(400, `${spec.name}: a value is needed`);
  const shape = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  const isFitting = shape.length === spec.shape.length && spec.shape.every((size, i) => size < 0 || size === shape[i]);
  const wanted = spec.shape.map((size) => (size < 0 ? "any" : size)).join(" × ") || "a single value";
  if (!isFitting) throw new Refused(400, `${spec.name}: expected ${wanted}, found ${shape.join(" × ") || "a single value"}`);
  const flat = [];
  flatten(value, shape, spec.name, flat);
  const data = spec.steps.reduce(stepped, packed(spec, flat));
  return new ort.Tensor(TYPES[spec.dtype] ?? spec.dtype, data, spec.has_rows ? [1, ...shape] : shape);
}

function flatten(value, [size, ...rest], name, flat) {
  if (size === undefined) {
    if (Array.isArray(value)) throw new Refused(400, `${name}: its lists are not equally long`);
    flat.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== size) throw new Refused(400, `${name}: its lists are not equally long`);
  for (const one of value) flatten(one, rest, name, flat);
}

function packed({ name, dtype }, flat) {
  const refuse = (expected, found) => new Refused(400, `${name}: expected ${expected}, found ${toJson(found)}`);
  const check = (isRight, expected) => {
    const wrong = flat.find((one) => !isRight(one));
    if (wrong !== undefined) throw refuse(expected, wrong);
  };
  if (dtype === "bytes") {
    check((one) => typeof one === "string", "text");
    return flat;
  }
  if (dtype === "bool") {
    check((one) => typeof one === "boolean", "true or false");
    return Uint8Array.from(flat);
  }
  if (dtype in INTEGERS) {
    const [kind, bits] = INTEGERS[dtype];
    const isSigned = dtype.startsWith("i");
    const [least, most] = isSigned ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
    const isWhole = (one) => typeof one === "bigint" || Number.isInteger(one);
    check((one) => isWhole(one) && BigInt(one) >= least && BigInt(one) <= most, `a whole number from ${least} to ${most}`);
    return kind.from(flat, bits === 64 ? BigInt : Number);
  }
  if (!FLOATS[dtype]) throw new Refused(400, `${name}: this browser has no ${dtype}`);
  check((one) => typeof one === "number" || typeof one === "bigint", "a number");
  return FLOATS[dtype].from(flat, Number);
}

const OPERATORS = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

/** A number applied to each element, rounded to the array's type as numpy does it. */
function stepped(data, [operator, number]) {
  const [exact] = data.constructor.of(number);
  return data.map((one) => OPERATORS[operator](one, exact));
}

// From tensors to JSON

function valueOf({ name, dtype, has_rows }, tensor) {
  if (!tensor) throw new Refused(500, `The model gave no ${name}.`);
  const shape = has_rows ? tensor.dims.slice(1) : [...tensor.dims];
  const read = dtype === "bool" ? Boolean : typeof tensor.data[0] === "bigint" ? whole : (one) => one;
  return nested(Array.from(tensor.data, read), shape);
}

function whole(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : new LongInteger(String(value));
}

function nested(flat, [size, ...rest]) {
  if (size === undefined) return flat[0];
  if (!rest.length) return flat;
  const step = flat.length / (size || 1);
  return Array.from({ length: size }, (_, i) => nested(flat.slice(i * step, (i + 1) * step), rest));
}
