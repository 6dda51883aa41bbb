// The operators' page: looks at the server each second while somebody sees it, and carries out what they order.
// The token is in this tab's session storage and in the header of each question; nowhere else.

import { at, make } from "./dom.js";
import { clearErrors, showErrors } from "./errors.js";
import { Scrape } from "./metrics.js";
import { Card } from "./models.js";
import { SPAN_S } from "./pictures.js";
import { ask, postJson, useKey } from "./server.js";
import { bytes, number, span } from "./words.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 10_000;
const STORED = "headway-admin-token";
const state = { scrapes: [], cards: new Map(), lastError: 0, timer: 0, isLooking: false };

function notice(text, isWrong = false) {
  if (at("notice").textContent !== text) at("notice").textContent = text;
  at("notice").classList.toggle("wrong", isWrong);
  at("notice").hidden = !text;
}

// Looking

async function look() {
  if (state.isLooking || !sessionStorage.getItem(STORED)) return;
  clearTimeout(state.timer);
  state.isLooking = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const [status, metrics, log] = await Promise.all([
      ask("status", { signal }).then((answer) => answer.json()),
      ask("metrics", { signal }).then((answer) => answer.text()),
      ask(`errors?after=${state.lastError}`, { signal }).then((answer) => answer.json()),
    ]);
    take(status, new Scrape(metrics, performance.now()), log);
    notice("");
    show(true);
  } catch (error) {
    refused(error);
  }
  state.isLooking = false;
  if (!document.hidden) state.timer = setTimeout(look, EVERY_MS);
}

function refused(error) {
  if (error.status === 401) {
    forget();
    notice(error.message, true);
  } else if (error.status) notice(error.message, true);
  else notice("The server does not answer; these are its last figures. This page goes on when it is back.", true);
}

function take(status, scrape, log) {
  const last = state.scrapes[state.scrapes.length - 1];
  const isNew = last && last.sum("start_time_seconds") !== scrape.sum("start_time_seconds");
  if (isNew) {
    state.scrapes = [];
    for (const card of state.cards.values()) card.restart();
    clearErrors();
  }
  if (isNew && state.lastError) state.lastError = 0; // the answer was of what came after another server's number
  else {
    showErrors(log.errors);
    state.lastError = log.last;
  }
  state.scrapes = [...state.scrapes, scrape].filter(({ atMs }) => atMs >= scrape.atMs - SPAN_S * 1000);
  drawServer(status, scrape);
  for (const model of status.models) cardOf(model.name).take(model, state.scrapes);
}

function cardOf(name) {
  if (!state.cards.has(name)) {
    const card = new Card(name, { confirm, look });
    state.cards.set(name, card);
    at("models").append(card.element);
  }
  return state.cards.get(name);
}

function drawServer(status, scrape) {
  const upS = Date.now() / 1000 - scrape.sum("start_time_seconds");
  const is = status.is_draining ? "draining" : status.is_ready ? "ready" : "not ready";
  at("server").textContent = `version ${scrape.label("info", "version")}, ${is}, up ${span(Math.max(0, upS))}`;
  const gateways = status.gateways.map(({ index, pid, resident_bytes }) => `${index}: pid ${pid}, ${bytes(resident_bytes)}`);
  const facts = {
    "answers at": status.http || status.unix,
    "supervisor": `pid ${status.pid}, ${bytes(status.resident_bytes)}`,
    "gateways": gateways.join("; "),
    "connections": number(scrape.sum("connections")),
    "reached no model": number(scrape.sum("requests_total", { model: "" })),
    "reloads": String(status.generation),
  };
  at("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    return make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }));
  }));
}

function show(isLetIn) {
  at("view").hidden = at("reload-all").hidden = at("forget").hidden = !isLetIn;
  at("token-form").hidden = isLetIn;
}

// The token

function start() {
  const token = sessionStorage.getItem(STORED);
  useKey(token || "");
  if (token) look();
  else show(false);
}

function forget() {
  sessionStorage.removeItem(STORED);
  useKey("");
  clearTimeout(state.timer);
  Object.assign(state, { scrapes: [], cards: new Map(), lastError: 0 });
  at("models").replaceChildren();
  at("server").textContent = "";
  clearErrors();
  notice("");
  show(false);
  at("token").focus();
}

// Orders

let decide = () => {};
const settle = () => decide(at("confirm").returnValue === "yes");

/** Whether the operator wants that; Escape is no. */
function confirm(what, verb) {
  settle(); // a former one: its `close` may come only when this one is open
  const dialog = at("confirm");
  at("confirm-what").textContent = what;
  at("confirm-yes").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  at("confirm-no").focus();
  return new Promise((done) => {
    decide = done;
  });
}

async function reloadAll() {
  if (!(await confirm("Read the settings and files again, and replace all workers? The old ones serve until the new ones do.", "Reload all"))) return;
  try {
    await postJson("reload", "{}");
  } catch (error) {
    notice(error.message, true);
  }
}

at("confirm").addEventListener("close", () => {
  if (!at("confirm").open) settle();
});
at("confirm-yes").addEventListener("click", () => at("confirm").close("yes"));
at("confirm-no").addEventListener("click", () => at("confirm").close("no"));
at("reload-all").addEventListener("click", reloadAll);
at("forget").addEventListener("click", forget);
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORED, at("token").value.trim());
  at("token").value = "";
  start();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(state.timer);
  if (!document.hidden) look();
});
start();
