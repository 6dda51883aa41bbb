// What the page asks of the server: always with the key, if there is one, and never of anybody else.

let key = "";

export const hasKey = () => Boolean(key);

export function useKey(text) {
  key = text;
}

export class Refused extends Error {
  constructor(status, message, retryAfterS = 0) {
    super(message);
    Object.assign(this, { status, retryAfterS });
  }
}

export async function ask(path, options = {}) {
  if (/[^\x21-\x7e]/.test(key)) throw new Refused(401, "This is no key: one has ASCII characters alone, and no spaces.");
  const headers = { ...options.headers };
  if (key) headers.authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  const retry = Number(answer.headers.get("retry-after")) || 0;
  throw new Refused(answer.status, body.error || `The server answered ${answer.status}.`, retry);
}

export async function getJson(path) {
  return (await ask(path)).json();
}

export function postJson(path, text, options = {}) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: text, ...options });
}

export const modelPath = (name, verb = "") => `models/${encodeURIComponent(name)}${verb && `/${verb}`}`;
