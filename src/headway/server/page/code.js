// The question on the page as a program: curl, Python, JavaScript.

import { toJson } from "./dom.js";

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function urlOf(model) {
  return new URL(`models/${encodeURIComponent(model.name)}/predict`, document.baseURI).href;
}

function curl(model, item, hasKey) {
  const key = hasKey ? ' -H "authorization: Bearer $HEADWAY_KEY"' : "";
  return `curl ${shellQuoted(urlOf(model))} -H 'content-type: application/json'${key} -d ${shellQuoted(toJson(item))}`;
}

/** JSON as Python writes it: the three words that differ stand outside of texts. */
function asPython(value) {
  const parts = toJson(value, 4).split(/("(?:[^"\\]|\\.)*")/);
  const words = { true: "True", false: "False", null: "None" };
  return parts.map((part, i) => (i % 2 ? part : part.replace(/\b(true|false|null)\b/g, (word) => words[word]))).join("");
}

/** The client reads a key from HEADWAY_KEY by itself. */
function python(model, item) {
  const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
  return [
    "from headway import Client",
    "",
    `client = Client(${JSON.stringify(base)})`,
    `print(client(${JSON.stringify(model.name)}, **${asPython(item)}))`,
  ].join("\n");
}

function javascript(model, item, hasKey) {
  const key = hasKey ? ', authorization: `Bearer ${key}`' : "";
  return [
    `const answer = await fetch(${JSON.stringify(urlOf(model))}, {`,
    '  method: "POST",',
    `  headers: { "content-type": "application/json"${key} },`,
    `  body: JSON.stringify(${toJson(item, 2, "  ")}),`,
    "});",
    "if (!answer.ok) throw new Error((await answer.json()).error);",
    "console.log(await answer.json());",
  ].join("\n");
}

export const LANGUAGES = { curl, Python: python, JavaScript: javascript };
