/** A file that a model takes: base64 as text, or its bytes. */
export type FileInput = string | Uint8Array | Blob;

export interface Options {
  /** API key. */
  key?: string;
  /** An answer or an error is there within so many seconds. */
  timeoutS?: number;
  /** Most attempts after the first, where the server can't answer now. */
  retries?: number;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** What the server told, or that it told nothing. */
export class HeadwayError extends Error {
  constructor(
    message: string,
    /** Stable, for programs: docs/reference/errors.md. */
    readonly code: string,
    readonly status = 0,
    readonly requestId = "",
    readonly retryAfterS = 0,
  ) {
    super(message);
    this.name = "HeadwayError";
  }
}

const NOT_COMPUTED = new Set(["queue_full", "not_ready", "busy"]);

async function base64(file: FileInput): Promise<string> {
  if (typeof file === "string") return file;
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

async function withFiles(row: object, files: readonly string[]): Promise<object> {
  const sent: Record<string, unknown> = { ...row };
  for (const name of files) {
    const file = sent[name];
    if (file !== undefined && file !== null) sent[name] = await base64(file as FileInput);
  }
  return sent;
}

async function errorOf(response: Response, url: string): Promise<HeadwayError> {
  const text = await response.text();
  const retryAfterS = Number(response.headers.get("retry-after") ?? 0) || 0;
  const requestId = response.headers.get("x-request-id") ?? "";
  try {
    const told = JSON.parse(text) as { error?: unknown; code?: unknown };
    if (typeof told.error === "string") {
      const code = String(told.code ?? "");
      return new HeadwayError(told.error, code, response.status, requestId, retryAfterS);
    }
  } catch {
    // It is no JSON: said below.
  }
  const found = `${url} answered ${response.status}, which is not what Headway answers`;
  return new HeadwayError(`${found}: ${text.slice(0, 200)}`, "bad_answer", response.status);
}

class Asker {
  constructor(
    readonly url: string,
    readonly options: Options,
  ) {}

  /** The answer to one question; what was refused only for now is asked again, within the time. */
  async ask(path: string, body: unknown, options: Options, accept: string): Promise<Response> {
    const { key, timeoutS = 30, retries = 3, headers, signal } = { ...this.options, ...options };
    const deadline = Date.now() + timeoutS * 1000;
    const limit = AbortSignal.timeout(timeoutS * 1000);
    for (let attempt = 0; ; attempt++) {
      const leftS = Math.max(0.001, (deadline - Date.now()) / 1000);
      const sent: Record<string, string> = {
        accept,
        "content-type": "application/json",
        "headway-timeout": leftS.toFixed(3),
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...headers,
      };
      const error = await this.attempt(path, body, sent, signal ? AbortSignal.any([limit, signal]) : limit);
      if (!(error instanceof HeadwayError)) return error;
      const waitMs = error.retryAfterS * 1000 + Math.random() * Math.min(2000, 50 * 2 ** attempt);
      const isLast = attempt >= retries || Date.now() + waitMs >= deadline;
      if (!NOT_COMPUTED.has(error.code) || isLast) throw error;
      await new Promise((done) => setTimeout(done, waitMs));
      signal?.throwIfAborted();
    }
  }

  private async attempt(
    path: string,
    body: unknown,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Response | HeadwayError> {
    try {
      const response = await fetch(this.url + path, {
        method: "POST",
        body: JSON.stringify(body),
        headers,
        signal,
      });
      return response.ok ? response : await errorOf(response, this.url);
    } catch (cause) {
      if (cause instanceof DOMException && cause.name === "TimeoutError") {
        throw new HeadwayError("the answer was not ready in time", "deadline");
      }
      if (signal.aborted) throw cause;
      throw new HeadwayError(`no answer from ${this.url}: ${String(cause)}`, "unreachable");
    }
  }

  async predict<T>(model: string, row: object, files: readonly string[], options: Options): Promise<T> {
    const body = await withFiles(row, files);
    const response = await this.ask(pathOf(model), body, options, "application/json");
    return (await response.json()) as T;
  }

  async batch<T>(
    model: string,
    rows: readonly object[],
    files: readonly string[],
    options: Options,
  ): Promise<T[]> {
    const body = await Promise.all(rows.map((row) => withFiles(row, files)));
    const response = await this.ask(pathOf(model), body, options, "application/json");
    return (await response.json()) as T[];
  }

  /** The items as they come; leaving the loop early cancels the rest. */
  async *stream<T>(
    model: string,
    row: object,
    files: readonly string[],
    options: Options,
  ): AsyncGenerator<T, void, void> {
    const body = await withFiles(row, files);
    const response = await this.ask(pathOf(model), body, options, "application/jsonl");
    if (!response.body) return;
    const id = response.headers.get("x-request-id") ?? "";
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        rest += decoder.decode(value, { stream: !done });
        const lines = rest.split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) yield item<T>(line, id);
        if (done) return;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }
}

function item<T>(line: string, id: string): T {
  const found: unknown = JSON.parse(line);
  if (typeof found === "object" && found !== null && "code" in found && "error" in found) {
    const told = found as { error: unknown; code: unknown; request_id?: unknown };
    if (told.request_id === id && Object.keys(told).length === 3) {
      throw new HeadwayError(String(told.error), String(told.code), 200, id);
    }
  }
  return found as T;
}

function pathOf(model: string): string {
  return `/models/${encodeURIComponent(model)}/predict`;
}
