// What people say of an answer: kept by the server, if it keeps feedback at all.

import { at, toJson } from "./dom.js";
import { getJson, postJson } from "./server.js";

const state = { isKept: false, isSending: false, said: null, verdict: "" };

/** Whether the server keeps feedback, and how much it has of a model. */
export async function offerFeedback(model) {
  try {
    const { is_kept, models } = await getJson("feedback");
    state.isKept = is_kept;
    at("feedback-count").textContent = counted(models[model] || {});
  } catch {
    state.isKept = false;
  }
  at("feedback").hidden = !(state.isKept && state.said); // the answer may have come first
}

function counted(versions) {
  return Object.entries(versions)
    .map(([version, { good = 0, bad = 0 }]) => `version ${version}: ${good} good, ${bad} bad`)
    .join("; ");
}

/** An answer is there that something can be said of. */
export function offerOn(said) {
  forget();
  state.said = said;
  at("feedback").hidden = !state.isKept;
}

export function forget() {
  Object.assign(state, { said: null, verdict: "" });
  at("feedback").hidden = true;
  at("feedback-more").hidden = true;
  at("feedback-form").reset();
  at("feedback-state").textContent = "";
  for (const name of ["good", "bad"]) at(`say-${name}`).setAttribute("aria-pressed", "false");
}

function choose(verdict) {
  state.verdict = verdict;
  for (const name of ["good", "bad"]) at(`say-${name}`).setAttribute("aria-pressed", String(name === verdict));
  at("feedback-more").hidden = false;
}

async function send(event) {
  event.preventDefault();
  const { said, verdict } = state;
  if (!said || state.isSending) return;
  state.isSending = true;
  const right = at("feedback-right").value;
  const record = { ...said, verdict, comment: at("feedback-comment").value };
  if (right.trim()) record.expected = valueOf(right);
  try {
    const { id } = await (await postJson("feedback", toJson(record))).json();
    await offerFeedback(said.model);
    at("feedback-state").textContent = id ? "Kept. Thank you." : "Thank you. By this server's rules nothing of it is kept.";
    at(`say-${verdict}`).focus();
    at("feedback-more").hidden = true;
  } catch (error) {
    at("feedback-state").textContent = error.message;
  } finally {
    state.isSending = false;
  }
}

/** JSON where it is JSON; else it is the text itself. */
function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function startFeedback() {
  at("say-good").addEventListener("click", () => choose("good"));
  at("say-bad").addEventListener("click", () => choose("bad"));
  at("feedback-form").addEventListener("submit", send);
}
