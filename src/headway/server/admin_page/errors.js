// The errors of the log, the newest first. What is in them was written by anybody: it is set as text.

import { at, make, oneLine } from "./dom.js";

const MOST = 200;
const HEAD = ["number", "time", "level", "logger", "message", "process", "pid", "exception", "model"];

export function showErrors(errors) {
  at("errors").prepend(...errors.map(asItem).reverse());
  while (at("errors").children.length > MOST) at("errors").lastElementChild.remove();
  at("errors-none").hidden = at("errors").children.length > 0;
}

export function clearErrors() {
  at("errors").replaceChildren();
  showErrors([]);
}

function asItem(error) {
  const time = make("time", { dateTime: error.time, textContent: new Date(error.time).toLocaleTimeString() });
  const who = [error.process, error.model].filter(Boolean).join(", ");
  const rest = Object.entries(error).filter(([name]) => !HEAD.includes(name));
  const more = rest.map(([name, value]) => `${name}: ${oneLine(value)}`).join("\n");
  const item = make("li", { value: error.number }, make("p", {}, time, ` ${who}: `, make("strong", { textContent: oneLine(error.message) })));
  if (more) item.append(make("p", { className: "text", textContent: more }));
  if (error.exception) {
    const trace = make("pre", { tabIndex: 0, textContent: oneLine(error.exception) });
    item.append(make("details", {}, make("summary", { textContent: "Trace" }), trace));
  }
  return item;
}
