// How an answer looks: bars, texts, pictures, boxes on the picture that was asked about, sound, tables, JSON.

import { fromBase64, make, newId, oneLine, save, button, toJson } from "./dom.js";
import { plain, resolve } from "./schema.js";

const MOST_BARS = 100;
const MOST_ROWS = 200;
const MOST_JSON = 200_000;
const IMAGE = /^image\/(png|jpeg|webp)$/;
const AUDIO = /^audio\/(wav|x-wav|flac|ogg)$/;

/** The elements that show a value; `item` is what was asked. */
export function showValue(value, schema, item, inputs) {
  const root = schema || {};
  const found = resolve(root, root);
  const shown = [...boxesOn(value, item, inputs), ...show(value, found, root)];
  const isPlain = typeof value === "string" || typeof value === "number";
  if (!isPlain && !isMedia(found)) shown.push(asJson(value, shown.length === 0));
  return shown;
}

function show(value, schema, root) {
  if (isMedia(schema) && typeof value === "string") return [media(value, schema)];
  if (typeof value === "string") return [make("p", { className: "text", textContent: value })];
  if (typeof value === "number") return [make("p", { className: "number", textContent: String(value) })];
  if (Array.isArray(value)) return asTable(value);
  if (value === null || typeof value !== "object") return [];
  if (isShares(value)) return [bars(value)];
  const properties = Object.entries(value).slice(0, MOST_BARS);
  const parts = properties.map(([name, one]) => [name, one, plain(schema.properties?.[name] || {}, root).schema]);
  const isWorth = parts.some(([, one, inner]) => isMedia(inner) || (one && typeof one === "object" && isShares(one)));
  if (!isWorth && parts.some(([, one]) => one && typeof one === "object")) return [];
  return [make("dl", {}, ...parts.flatMap(([name, one, inner]) => [
    make("dt", { textContent: name }),
    make("dd", {}, ...fallback(show(one, inner, root), one)),
  ]))];
}

const fallback = (shown, value) => (shown.length ? shown : [make("p", { className: "text", textContent: oneLine(value) })]);

const isMedia = (schema) => schema.type === "string" && schema.contentEncoding === "base64";

function media(value, { contentMediaType = "" }) {
  const src = `data:${contentMediaType};base64,${value}`;
  if (IMAGE.test(contentMediaType)) return make("img", { src, alt: "The answered picture" });
  if (AUDIO.test(contentMediaType)) return make("audio", { src, controls: true });
  return button("Save the file", () => save("answer.bin", [fromBase64(value)], "application/octet-stream"));
}

function isShares(value) {
  const rows = Array.isArray(value) ? [] : Object.values(value);
  return rows.length > 1 && rows.length <= MOST_BARS && rows.every((share) => typeof share === "number" && share >= 0 && share <= 1);
}

function bars(value) {
  const rows = Object.entries(value).sort(([, a], [, b]) => b - a);
  return make("div", { className: "bars" }, ...rows.flatMap(([label, share]) => {
    const id = newId("bar");
    const meter = make("meter", { max: 1, value: share });
    meter.setAttribute("aria-labelledby", id);
    return [make("span", { id, textContent: label }), meter, make("span", { textContent: share.toFixed(3) })];
  }));
}

function asTable(value) {
  const rows = value.slice(0, MOST_ROWS);
  const isFlat = (row) => row && typeof row === "object" && Object.values(row).every((one) => one === null || typeof one !== "object");
  if (rows.length < 1 || !rows.every(isFlat)) return [];
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (names.length > 64) return [];
  const head = rows.every(Array.isArray) ? [] : [make("tr", {}, ...names.map((name) => make("th", { scope: "col", textContent: name })))];
  const body = rows.map((row) => make("tr", {}, ...names.map((name) => make("td", { textContent: row[name] === undefined ? "" : oneLine(row[name]) }))));
  const table = make("table", {}, make("thead", {}, ...head), make("tbody", {}, ...body));
  const more = value.length > rows.length ? [make("p", { className: "help", textContent: `${value.length - rows.length} more rows are in the JSON` })] : [];
  return [make("div", { className: "wide", tabIndex: 0 }, table), ...more];
}

function asJson(value, isOpen) {
  const text = toJson(value, 2);
  const shown = text.length > MOST_JSON ? `${text.slice(0, MOST_JSON)}…` : text;
  return make("details", { open: isOpen }, make("summary", { textContent: "JSON" }), make("pre", { tabIndex: 0, textContent: shown }));
}

// Boxes on a picture

/** The picture that was asked about with what was found on it, where an answer has boxes. */
function boxesOn(value, item, inputs) {
  const picture = inputs.find(({ schema }) => (schema.contentMediaType || "").startsWith("image/"));
  const content = picture && item?.[picture.name];
  const found = content ? findBoxes(value) : [];
  if (!found.length) return [];
  const image = make("img", { alt: `The picture with ${found.length} boxes` });
  const canvas = make("canvas", { className: "boxed" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${found.length} boxes: ${found.map(({ label }) => label).filter(Boolean).slice(0, 20).join(", ")}`);
  image.addEventListener("load", () => draw(canvas, image, found));
  image.src = `data:${picture.schema.contentMediaType};base64,${content}`;
  return [canvas];
}

/** Objects anywhere in an answer that have a box: four numbers (left, top, right, bottom), or points. */
export function findBoxes(value, found = []) {
  if (!value || typeof value !== "object" || found.length >= 500) return found;
  const points = !Array.isArray(value) && pointsOf(value.box ?? value.bbox ?? value.polygon);
  if (points) found.push({ points, label: String(value.label ?? value.text ?? value.name ?? value.class ?? "") });
  else for (const one of Object.values(value)) findBoxes(one, found);
  return found;
}

function pointsOf(box) {
  const isNumber = (one) => typeof one === "number";
  if (!Array.isArray(box)) return undefined;
  if (box.length === 4 && box.every(isNumber)) {
    const [left, top, right, bottom] = box;
    return [[left, top], [right, top], [right, bottom], [left, bottom]];
  }
  const isPoints = box.length > 1 && box.every((point) => Array.isArray(point) && point.length === 2 && point.every(isNumber));
  return isPoints ? box : undefined;
}

function draw(canvas, image, found) {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const thick = Math.max(1, image.naturalWidth / 300);
  const isShare = found.every(({ points }) => points.every(([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1));
  const [sx, sy] = isShare ? [canvas.width, canvas.height] : [1, 1];
  Object.assign(context, { lineWidth: thick, strokeStyle: "#e11d48", font: `${12 * thick}px sans-serif`, textBaseline: "bottom" });
  for (const { points, label } of found) {
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x * sx, y * sy));
    context.closePath();
    context.stroke();
    const [x, y] = points[0];
    context.fillStyle = "#e11d48";
    const wide = context.measureText(label).width;
    if (label) context.fillRect(x * sx, y * sy - 14 * thick, wide + 4 * thick, 14 * thick);
    context.fillStyle = "#fff";
    context.fillText(label, x * sx + 2 * thick, y * sy);
  }
}
