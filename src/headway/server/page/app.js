// The page of a Headway server: a form for each model, made from its JSON Schema, and what comes back.
// Text from the server is only ever set as text. Nothing is stored, nothing else is loaded.

import { showValue } from "./answers.js";
import { LANGUAGES } from "./code.js";
import { at, brief, button, make, oneLine, toJson } from "./dom.js";
import { forget, offerFeedback, offerOn, startFeedback } from "./feedback.js";
import { offerRows, startRows } from "./rows.js";
import { ask, getJson, hasKey, modelPath, postJson, useKey } from "./server.js";
import { FieldError, makeFields, markWrong, readFields, writeFields } from "./widgets.js";

const MOST_CODE = 4000;
const MOST_LINK = 8000;
const AWAY_S = 2;
const page = { model: null, fields: [], shown: 0, stop: null, language: Object.keys(LANGUAGES)[0] };

function notice(text, isWrong = false) {
  at("notice").textContent = text;
  at("notice").classList.toggle("wrong", isWrong);
  at("notice").hidden = !text;
}

// Models

async function listModels() {
  try {
    const { models } = await getJson("models");
    at("key-form").hidden = true;
    notice(models.length ? "" : "No model is served here.");
    at("models").replaceChildren(...models.map(({ name }) => make("li", {}, button(name, () => showModel(name)))));
    const { name, item } = fromLink();
    const first = models.find((model) => model.name === name) || models[0];
    if (first) await showModel(first.name, item);
  } catch (error) {
    at("key-form").hidden = error.status !== 401;
    notice(error.message, true);
    if (error.status === 0) waitForServer();
  }
}

/** The server is away: look now and then, and go on when it is back. */
function waitForServer() {
  notice("The server does not answer; this page goes on when it is back.", true);
  setTimeout(async () => {
    try {
      await ask("health/live");
      if (page.model) notice("");
      else listModels();
    } catch {
      waitForServer();
    }
  }, 1000 * AWAY_S);
}

/** Until it is there, nothing is asked of the one that was shown before. If the address leads elsewhere by then, that is shown. */
async function showModel(name, item) {
  page.shown += 1;
  const { shown } = page;
  const { hash } = location;
  at("model").inert = true;
  try {
    const model = await getJson(modelPath(name));
    if (shown !== page.shown || hash !== location.hash) return;
    page.stop?.abort();
    page.model = model;
    notice("");
    drawModel(model, item);
    at("model").inert = false;
    await offerFeedback(model.name);
  } catch (error) {
    if (shown !== page.shown) return;
    at("model").hidden = true;
    notice(error.message, true);
  }
}

function drawModel(model, item) {
  history.replaceState(null, "", `#${encodeURIComponent(model.name)}`);
  for (const one of at("models").querySelectorAll("button")) {
    one.setAttribute("aria-current", String(one.textContent === model.name));
  }
  document.title = `${model.name} · Headway`;
  at("name").textContent = model.name;
  at("state").textContent = `version ${model.version}, ${model.ready ? "ready" : "not ready"}`;
  at("doc").textContent = model.doc || "";
  const schema = model.input_schema || {};
  page.fields = makeFields(schema, schema, drawCode);
  at("fields").replaceChildren(...page.fields.map((field) => field.element));
  at("examples").replaceChildren(...(model.examples || []).map(exampleButton));
  at("examples-title").hidden = !(model.examples || []).length;
  offerRows(model);
  clearAnswer();
  at("model").hidden = false;
  fill(item || (model.examples || [])[0] || {});
}

function exampleButton(example, index) {
  const words = Object.values(example).map((value) => (oneLine(value).length > 400 ? "" : oneLine(value)));
  const text = brief(words.filter(Boolean).join(", "), 60);
  return button(text || `Example ${index + 1}`, () => {
    fill(example);
    at("form").requestSubmit();
  });
}

function fill(item) {
  writeFields(page.fields, item);
  drawCode();
}

// A link that carries the question

function fromLink() {
  const [name, text] = location.hash.slice(1).split("?input=", 2);
  try {
    const item = text && JSON.parse(decoded(text));
    return { name: decoded(name), item: item && typeof item === "object" ? item : undefined };
  } catch {
    return { name: decoded(name) };
  }
}

/** A part of an address; one that was never encoded is itself. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Go to where the address leads; one that holds a password hands it over and is forgotten. */
function followLink() {
  const [, password] = /^#key=([^&?]+)$/.exec(location.hash) || [];
  if (password) {
    useKey(decoded(password));
    history.replaceState(null, "", location.pathname);
  }
  listModels();
}

async function copyLink() {
  try {
    const link = `#${encodeURIComponent(page.model.name)}?input=${encodeURIComponent(toJson(readFields(page.fields)))}`;
    if (link.length > MOST_LINK) throw new Error("This question is too long for a link.");
    await navigator.clipboard.writeText(new URL(link, document.baseURI).href);
    at("link-state").textContent = "The link is copied.";
  } catch (error) {
    at("link-state").textContent = error.message;
  }
}

// Asking

function clearAnswer() {
  forget();
  at("latency").textContent = "";
  at("answer").replaceChildren();
  at("answer").classList.remove("wrong");
}

async function submit(event) {
  event.preventDefault();
  clearAnswer();
  page.stop?.abort();
  const stop = (page.stop = new AbortController());
  const { model } = page;
  const start = performance.now();
  const ticking = setInterval(() => tick(start), 200);
  at("stop").hidden = false;
  at("answer").setAttribute("aria-busy", "true");
  let item;
  try {
    item = readFields(page.fields);
    await send(model, item, start, stop.signal);
  } catch (error) {
    if (stop === page.stop) showError(error);
    if (error.status === 400) followChange(model, item, stop);
  } finally {
    clearInterval(ticking);
    if (stop === page.stop) {
      at("stop").hidden = true;
      at("answer").removeAttribute("aria-busy");
    }
  }
}

/** What is refused may be a form that the model has outlived: its files may have changed since. */
async function followChange(model, item, stop) {
  const { shown } = page;
  const now = await getJson(modelPath(model.name)).catch(() => model);
  if (shown !== page.shown || stop !== page.stop || toJson(now.input_schema) === toJson(model.input_schema)) return;
  page.model = now;
  drawModel(now, item);
  at("latency").textContent = "This model takes other inputs now: here is its new form.";
}

function tick(start) {
  const spentS = (performance.now() - start) / 1000;
  if (spentS >= 1) at("latency").textContent = `asked ${spentS.toFixed(0)} s ago`;
}

async function send(model, item, start, signal) {
  const answer = await postJson(modelPath(model.name, "predict"), toJson(item), { signal });
  const isStream = (answer.headers.get("content-type") || "").startsWith("application/jsonl");
  const output = isStream ? await readStream(answer, signal) : await answer.json();
  if (signal.aborted) return;
  if (!isStream) at("answer").replaceChildren(...showValue(output, model.output_schema, item, page.fields));
  const spent = (performance.now() - start).toFixed(1);
  const id = answer.headers.get("x-request-id") || "";
  at("latency").textContent = `answered in ${spent} ms by version ${model.version}${id ? `, request ${id}` : ""}`;
  offerOn({ model: model.name, version: model.version, request_id: id, input: item, output });
}

async function readStream(answer, signal) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const shown = make("p", { className: "text" });
  at("answer").append(shown);
  const items = [];
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done || signal.aborted) return items;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      const item = JSON.parse(line);
      if (isStreamError(item)) throw new Error(item.error);
      items.push(item);
      shown.append(typeof item === "string" ? item : `${toJson(item)}\n`);
    }
  }
}

const isStreamError = (item) => item && typeof item === "object" && Object.keys(item).sort().join() === "code,error,request_id";

function showError(error) {
  const field = error instanceof FieldError ? page.fields.find((one) => one.input === error.input || one.element.contains(error.input)) : fieldOf(error.message);
  if (error.name === "AbortError") at("latency").textContent = "stopped";
  else if (field) {
    markWrong(field, error.message);
    if (error instanceof FieldError) error.input.focus();
  }
  if (error.name !== "AbortError") {
    at("answer").textContent = error.message;
    at("answer").classList.add("wrong");
    at("latency").textContent = error.status ? `refused with status ${error.status}` : "";
  }
  if (error.status === 0) waitForServer();
  if (error.status === 401) at("key-form").hidden = false;
}

/** The field that a server's words name. */
function fieldOf(message) {
  return page.fields.find(({ name }) => {
    const word = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`(\\$\\.|\\$\\[\\.\\.\\.\\]\\.|['"\`])${word}(?![\\w])`).test(message);
  });
}

// The same as a program

function codeText() {
  return LANGUAGES[page.language](page.model, readFields(page.fields), hasKey());
}

function drawCode() {
  try {
    at("code").textContent = brief(codeText(), MOST_CODE);
    at("copy").disabled = false;
  } catch (error) {
    at("code").textContent = error.message;
    at("copy").disabled = true;
  }
}

async function copyCode() {
  try {
    await navigator.clipboard.writeText(codeText());
    at("copy").textContent = "Copied";
  } catch {
    at("copy").textContent = "Can't copy here";
  }
}

function languageButton(language) {
  const made = button(language, () => {
    page.language = language;
    for (const one of at("languages").children) one.setAttribute("aria-pressed", String(one === made));
    at("copy").textContent = "Copy";
    drawCode();
  });
  made.setAttribute("aria-pressed", String(language === page.language));
  return made;
}

at("form").addEventListener("submit", submit);
at("form").addEventListener("input", drawCode);
at("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("stop").addEventListener("click", () => page.stop?.abort());
at("copy").addEventListener("click", copyCode);
at("link").addEventListener("click", copyLink);
at("languages").append(...Object.keys(LANGUAGES).map(languageButton));
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key").value.trim());
  at("key").value = "";
  listModels();
});
window.addEventListener("hashchange", followLink);
startRows();
startFeedback();
followLink();
