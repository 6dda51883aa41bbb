// Elements, and what is done with every text: it is set as text, never as markup.

export const at = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function button(text, act, properties = {}) {
  const element = make("button", { type: "button", textContent: text, ...properties });
  element.addEventListener("click", act);
  return element;
}

/** A label above its control; the control's id is `id`. */
export function labelled(text, control, id) {
  control.id = id;
  return make("div", { className: "field" }, make("label", { htmlFor: id, textContent: text }), control);
}

export function brief(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

export function oneLine(value) {
  return typeof value === "string" ? value : toJson(value);
}

let count = 0;

export function newId(word) {
  count += 1;
  return `${word}-${count}`;
}

/** Hand a file to the reader. */
export function save(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A whole number that a JavaScript number can't hold, as it is written. */
export class LongInteger {
  constructor(text) {
    this.text = text;
  }
}

/** JSON, with whole numbers of any size: `LongInteger` keeps its digits. */
export function toJson(value, indent = 0, margin = "") {
  if (value instanceof LongInteger) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = margin + " ".repeat(indent);
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((one) => toJson(one, indent, inner))
    : Object.entries(value)
        .filter(([, one]) => one !== undefined)
        .map(([name, one]) => `${JSON.stringify(name)}:${indent ? " " : ""}${toJson(one, indent, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  const isFlat = isList && parts.every((part) => part.length < 24 && !/[[{]/.test(part));
  if (!indent || !parts.length) return open + parts.join(",") + close;
  if (isFlat) return open + parts.join(", ") + close;
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${margin}${close}`;
}

/** Base64 of bytes, in pieces that no engine's argument limit stops. */
export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
