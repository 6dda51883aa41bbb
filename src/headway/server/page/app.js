// The page of a Headway server: a form for each model, made from its JSON Schema.
// Text from the server is only ever set as textContent. Nothing is stored, nothing else is loaded.
"use strict";

const MANY_BYTES = 4000;
const at = (id) => document.getElementById(id);
const page = { key: "", model: null, fields: [], asked: 0 };

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// What the server says

function headers(more = {}) {
  return page.key ? { ...more, authorization: `Bearer ${page.key}` } : more;
}

async function get(path) {
  const answer = await fetch(path, { headers: headers() });
  const body = await answer.json().catch(() => ({}));
  at("key-form").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(body.error || `The server answered ${answer.status}.`);
  return body;
}

function notice(text, isWrong = false) {
  at("notice").textContent = text;
  at("notice").classList.toggle("wrong", isWrong);
  at("notice").hidden = !text;
}

async function listModels() {
  try {
    const { models } = await get("models");
    notice(models.length ? "" : "No model is served here.");
    at("models").replaceChildren(...models.map(({ name }) => make("li", {}, modelButton(name))));
    const wanted = decodeURIComponent(location.hash.slice(1));
    const first = models.find(({ name }) => name === wanted) || models[0];
    if (first) await showModel(first.name);
  } catch (error) {
    notice(error.message, true);
  }
}

function modelButton(name) {
  const button = make("button", { type: "button", textContent: name });
  button.addEventListener("click", () => showModel(name));
  return button;
}

async function showModel(name) {
  page.asked += 1;
  const asked = page.asked;
  try {
    const model = await get(`models/${encodeURIComponent(name)}`);
    if (asked !== page.asked) return;
    page.model = model;
    notice("");
    drawModel(model);
  } catch (error) {
    if (asked !== page.asked) return;
    at("model").hidden = true;
    notice(error.message, true);
  }
}

function drawModel(model) {
  history.replaceState(null, "", `#${encodeURIComponent(model.name)}`);
  for (const button of at("models").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.textContent === model.name));
  }
  at("name").textContent = model.name;
  at("state").textContent = `version ${model.version}, ${model.ready ? "ready" : "not ready"}`;
  at("doc").textContent = model.doc || "";
  page.fields = makeFields(model.input_schema || {});
  at("fields").replaceChildren(...page.fields.map((field) => field.element));
  at("examples").replaceChildren(...(model.examples || []).map(exampleButton));
  clearAnswer();
  at("model").hidden = false;
  fill((model.examples || [])[0] || {});
}

function exampleButton(example, index) {
  const text = brief(Object.values(example).map(oneLine).join(", "), 60);
  const button = make("button", { type: "button", textContent: text || `Example ${index + 1}` });
  button.addEventListener("click", () => {
    fill(example);
    at("form").requestSubmit();
  });
  return button;
}

function oneLine(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function brief(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

// From a schema to fields

function resolve(schema, root) {
  let found = schema;
  for (let depth = 0; found && found.$ref && depth < 16; depth += 1) {
    const steps = found.$ref.replace(/^#\/?/, "").split("/").filter(Boolean);
    const { $ref: _, ...beside } = found;
    const target = steps.reduce((value, step) => {
      return value && value[step.replaceAll("~1", "/").replaceAll("~0", "~")];
    }, root);
    found = { ...(target || {}), ...beside };
  }
  return found || {};
}

function withoutNull(schema, root) {
  const choices = (schema.anyOf || schema.oneOf || []).map((one) => resolve(one, root));
  const rest = choices.filter(({ type }) => type !== "null");
  if (choices.length && rest.length === 1) {
    const { anyOf: _, oneOf: __, ...beside } = schema;
    return { schema: { ...rest[0], ...beside }, isNullable: rest.length < choices.length };
  }
  return { schema, isNullable: false };
}

function makeFields(input) {
  const root = input;
  const schema = resolve(input, root);
  const required = new Set(schema.required || []);
  return Object.entries(schema.properties || {}).map(([name, property], index) => {
    const { schema: plain, isNullable } = withoutNull(resolve(property, root), root);
    const isRequired = required.has(name) && !isNullable;
    const control = makeControl(plain);
    return frameField({ name, index, schema: plain, isRequired, ...control });
  });
}

function makeControl(schema) {
  if (schema.enum || "const" in schema) return choiceControl(schema.enum || [schema.const]);
  if (schema.type === "boolean") return switchControl();
  if (schema.type === "integer" || schema.type === "number") return numberControl(schema);
  if (schema.type === "string" && schema.contentEncoding === "base64") return fileControl(schema);
  if (schema.type === "string") return textControl(schema);
  return jsonControl();
}

function textControl({ minLength, maxLength }) {
  const input = make("textarea", { rows: 3 });
  if (minLength) input.minLength = minLength;
  if (maxLength !== undefined) input.maxLength = maxLength;
  return { input, read: () => input.value, write: (value) => { input.value = value ?? ""; } };
}

function numberControl(schema) {
  const step = schema.multipleOf || (schema.type === "integer" ? 1 : "any");
  const input = make("input", { type: "number", step });
  const least = schema.minimum ?? schema.exclusiveMinimum;
  const most = schema.maximum ?? schema.exclusiveMaximum;
  if (least !== undefined) input.min = least;
  if (most !== undefined) input.max = most;
  const read = () => (input.value === "" ? undefined : Number(input.value));
  return { input, read, write: (value) => { input.value = value ?? ""; } };
}

function switchControl() {
  const input = make("input", { type: "checkbox" });
  input.setAttribute("role", "switch");
  return { input, read: () => input.checked, write: (value) => { input.checked = value === true; } };
}

function choiceControl(choices) {
  const options = choices.map((choice, index) => {
    return make("option", { value: String(index), textContent: oneLine(choice) });
  });
  const input = make("select", {}, make("option", { value: "", textContent: "–" }), ...options);
  const read = () => (input.value === "" ? undefined : choices[Number(input.value)]);
  const write = (value) => { input.value = value === undefined ? "" : String(choices.indexOf(value)); };
  return { input, read, write };
}

function fileControl({ contentMediaType = "" }) {
  const [kind] = contentMediaType.split("/");
  const accept = ["image", "audio"].includes(kind) ? `${kind}/*` : "";
  const input = make("input", { type: "file", accept });
  let content;
  input.addEventListener("change", async () => {
    content = input.files.length ? await readBase64(input.files[0]) : undefined;
    drawCurl();
  });
  return { input, read: () => content, write: (value) => { content = value; input.value = ""; } };
}

function readBase64(file) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
}

function jsonControl() {
  const input = make("textarea", { rows: 4, className: "json", spellcheck: false });
  const read = () => (input.value.trim() === "" ? undefined : JSON.parse(input.value));
  const write = (value) => { input.value = value === undefined ? "" : JSON.stringify(value, null, 2); };
  return { input, read, write };
}

function frameField(field) {
  const { name, index, schema, isRequired, input } = field;
  const [id, helpId] = [`field-${index}`, `help-${index}`];
  input.id = id;
  input.required = isRequired && !["checkbox", "file"].includes(input.type);
  input.addEventListener("input", drawCurl);
  const title = isRequired ? name : `${name} (optional)`;
  const label = make("label", { htmlFor: id, textContent: title });
  const help = make("p", { id: helpId, className: "help", textContent: helpText(schema, input) });
  if (help.textContent) input.setAttribute("aria-describedby", helpId);
  const isSwitch = input.type === "checkbox";
  const row = isSwitch ? [make("div", { className: "switch" }, input, label)] : [label, input];
  field.element = make("div", { className: "field" }, ...row, help);
  return field;
}

function helpText(schema, input) {
  const told = [schema.description];
  if (schema.minimum !== undefined) told.push(`at least ${schema.minimum}`);
  if (schema.exclusiveMinimum !== undefined) told.push(`more than ${schema.exclusiveMinimum}`);
  if (schema.maximum !== undefined) told.push(`at most ${schema.maximum}`);
  if (schema.exclusiveMaximum !== undefined) told.push(`less than ${schema.exclusiveMaximum}`);
  if (schema.maxLength !== undefined) told.push(`at most ${schema.maxLength} characters`);
  if (input.className === "json") told.push(`JSON${schema.type ? `, ${schema.type}` : ""}`);
  return told.filter(Boolean).join("; ");
}

function fill(example) {
  for (const { name, schema, write } of page.fields) {
    write((name in example ? example[name] : schema.default) ?? undefined);
  }
  drawCurl();
}

// Asking

function readForm() {
  const item = {};
  for (const { name, isRequired, schema, input, read } of page.fields) {
    input.removeAttribute("aria-invalid");
    let value;
    try {
      value = read();
    } catch {
      throw wrongField(input, `${name}: this is not JSON.`);
    }
    if (!input.checkValidity()) throw wrongField(input, `${name}: ${input.validationMessage}`);
    if (isRequired && value === undefined) throw wrongField(input, `${name}: a value is needed.`);
    const isLeftOut = value === undefined || (value === "" && !isRequired && schema.default !== "");
    if (!isLeftOut) item[name] = value;
  }
  return item;
}

function wrongField(input, message) {
  return Object.assign(new Error(message), { input });
}

function clearAnswer() {
  at("latency").textContent = "";
  at("answer").textContent = "";
  at("answer").classList.remove("wrong");
  at("meters").replaceChildren();
}

async function ask(event) {
  event.preventDefault();
  clearAnswer();
  const submit = at("form").querySelector("button[type=submit]");
  try {
    const body = JSON.stringify(readForm());
    submit.disabled = true;
    await send(page.model, body);
  } catch (error) {
    if (error.input) {
      error.input.setAttribute("aria-invalid", "true");
      error.input.focus();
    }
    showWrong(error.message);
  } finally {
    submit.disabled = false;
  }
}

async function send(model, body) {
  const path = `models/${encodeURIComponent(model.name)}/predict`;
  const start = performance.now();
  const options = { method: "POST", headers: headers({ "content-type": "application/json" }), body };
  const answer = await fetch(path, options);
  const isStream = (answer.headers.get("content-type") || "").startsWith("application/jsonl");
  const text = isStream ? await readStream(answer, model) : await answer.text();
  if (page.model !== model) return;
  const spent = (performance.now() - start).toFixed(1);
  const id = answer.headers.get("x-request-id");
  at("latency").textContent = `${answer.status} in ${spent} ms${id ? `, request ${id}` : ""}`;
  if (!isStream) showAnswer(text, answer.ok);
}

async function readStream(answer, model) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done || page.model !== model) return rest;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) at("answer").textContent += streamItem(line);
  }
}

function streamItem(line) {
  const item = JSON.parse(line);
  return typeof item === "string" ? item : `${JSON.stringify(item)}\n`;
}

function showAnswer(text, isGood) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    at("answer").textContent = text;
    return;
  }
  if (!isGood) {
    showWrong(value.error || text);
    return;
  }
  const media = mediaElement(value, resolve(page.model.output_schema || {}, page.model.output_schema || {}));
  if (media) {
    at("answer").replaceChildren(media);
    return;
  }
  at("answer").textContent = JSON.stringify(value, null, 2);
  drawMeters(value);
}

function mediaElement(value, schema) {
  const media = schema.contentMediaType || "";
  const isMedia = /^(image\/(png|jpeg|webp)|audio\/wav)$/.test(media);
  if (typeof value !== "string" || !isMedia || schema.contentEncoding !== "base64") return null;
  const src = `data:${media};base64,${value}`;
  return media.startsWith("image/")
    ? make("img", { src, alt: "The answered picture" })
    : make("audio", { src, controls: true });
}

function showWrong(message) {
  at("answer").textContent = message;
  at("answer").classList.add("wrong");
}

function drawMeters(value) {
  const rows = value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [];
  const isShare = ([, share]) => typeof share === "number" && share >= 0 && share <= 1;
  if (rows.length < 2 || rows.length > 100 || !rows.every(isShare)) return;
  rows.sort(([, a], [, b]) => b - a);
  at("meters").replaceChildren(...rows.flatMap(([label, share], index) => [
    make("span", { id: `meter-${index}`, textContent: label }),
    labelled(make("meter", { max: 1, value: share }), `meter-${index}`),
    make("span", { textContent: share.toFixed(3) }),
  ]));
}

function labelled(element, id) {
  element.setAttribute("aria-labelledby", id);
  return element;
}

// The same with curl

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curlLine() {
  const url = new URL(`models/${encodeURIComponent(page.model.name)}/predict`, document.baseURI);
  const key = page.key ? ' -H "authorization: Bearer $HEADWAY_KEY"' : "";
  const body = quoted(JSON.stringify(readForm()));
  return `curl ${quoted(url.href)} -H 'content-type: application/json'${key} -d ${body}`;
}

function drawCurl() {
  try {
    const line = curlLine();
    at("curl").textContent = brief(line, MANY_BYTES);
    at("copy").disabled = false;
  } catch (error) {
    at("curl").textContent = error.message;
    at("copy").disabled = true;
  }
}

async function copyCurl() {
  try {
    await navigator.clipboard.writeText(curlLine());
    at("copy").textContent = "Copied";
  } catch {
    at("copy").textContent = "Can't copy here";
  }
}

at("form").addEventListener("submit", ask);
at("copy").addEventListener("click", copyCurl);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  page.key = at("key").value.trim();
  at("key").value = "";
  listModels();
});
listModels();
