// A card for each model: its state, its workers, its figures and their pictures, and what can be done about it.

import { button, make, newId } from "./dom.js";
import { mean, quantile, rate, seen } from "./metrics.js";
import { Histogram, Lines } from "./pictures.js";
import { modelPath, postJson } from "./server.js";
import { bytes, number, seconds } from "./words.js";

const WINDOW_S = 60;
const HEADS = ["worker", "pid", "state", "memory", "reloads"];

/** What the counters say of a model at each look; the first look knows no rates. */
export function pointOf(before, after, model) {
  if (!before) return { atMs: after.atMs, rate: [undefined], latency: [undefined, undefined], queue: [0] };
  const took = seen(before, after, "request_seconds", model);
  return {
    atMs: after.atMs,
    rate: [rate(before, after, "requests_total", { model })],
    latency: [quantile(took, 0.5), quantile(took, 0.99)],
    queue: [after.sum("queue_requests", { model })],
  };
}

export class Card {
  /** `confirm` asks whether to go on; `look` looks at the server at once. */
  constructor(name, { confirm, look }) {
    Object.assign(this, { name, confirm, look, points: [], isBusy: false });
    const title = newId("model");
    this.state = make("p", { className: "state" });
    this.failure = make("p", { className: "wrong" });
    this.outcome = make("p", { className: "help" });
    this.outcome.setAttribute("role", "status");
    this.load = button("Load", () => this.order("load"));
    this.unload = button("Unload", () => this.order("unload"));
    this.facts = make("dl", { className: "facts" });
    this.lines = {
      rate: new Lines("Requests a second", [""], number),
      latency: new Lines("Latency", ["p50", "p99"], seconds),
      queue: new Lines("Queue", [""], number),
    };
    this.histograms = {
      request_seconds: new Histogram("Latencies", seconds),
      batch_rows: new Histogram("Rows of a model call", number),
    };
    this.workers = make("tbody");
    const pictures = [...Object.values(this.lines), ...Object.values(this.histograms)].map(({ element }) => element);
    const head = make("tr", {}, ...HEADS.map((text) => make("th", { scope: "col", textContent: text })));
    const table = make("table", {}, make("caption", { textContent: "Workers" }), make("thead", {}, head), this.workers);
    this.element = make("section", { className: "card" },
      make("h2", { id: title, textContent: name }),
      this.state,
      this.failure,
      make("div", { className: "tools" }, this.load, this.unload),
      this.outcome,
      this.facts,
      make("div", { className: "pictures" }, ...pictures),
      make("div", { className: "wide", tabIndex: 0 }, table));
    this.element.setAttribute("aria-labelledby", title);
  }

  /** Take a look's status and counters; `earlier` are those of the last two minutes, the newest last. */
  take(status, scrapes) {
    const [before, after] = [scrapes[scrapes.length - 2], scrapes[scrapes.length - 1]];
    this.points = [...this.points, pointOf(before, after, this.name)].filter(({ atMs }) => atMs >= scrapes[0].atMs);
    this.drawState(status);
    this.drawFacts(before, after);
    for (const [name, lines] of Object.entries(this.lines)) {
      lines.draw(this.points.map((point) => ({ atMs: point.atMs, values: point[name] })));
    }
    const since = scrapes.find(({ atMs }) => atMs >= after.atMs - WINDOW_S * 1000);
    for (const [name, histogram] of Object.entries(this.histograms)) {
      histogram.draw(seen(since, after, name, this.name));
    }
    this.workers.replaceChildren(...status.workers.map(asRow));
  }

  /** The counters have begun anew. */
  restart() {
    this.points = [];
  }

  drawState(status) {
    this.isGone = status.state === "UNAVAILABLE" && !status.workers.length;
    const ready = status.workers.filter(({ phase, is_ejected }) => phase === "ready" && !is_ejected).length;
    this.state.textContent = `version ${status.version}, ${status.state}, ${ready} of ${status.workers.length} workers ready`;
    this.state.dataset.state = status.state;
    this.failure.textContent = status.failure || status.refusal || status.shortage;
    this.load.textContent = this.isGone ? "Load" : "Reload";
    this.load.disabled = this.isBusy;
    this.unload.disabled = this.isBusy || this.isGone;
  }

  drawFacts(before, after) {
    const model = { model: this.name };
    const ok = before && rate(before, after, "requests_total", { ...model, outcome: "ok" });
    const all = before && rate(before, after, "requests_total", model);
    const facts = {
      "requests": number(after.sum("requests_total", model)),
      "failed a second": number(before && Math.max(0, all - ok)),
      "in workers": number(after.sum("in_flight", model)),
      "rows a second": number(before && rate(before, after, "rows_total", model)),
      "rows a call": number(before && mean(before, after, "batch_rows", this.name)),
      "restarts": number(after.sum("worker_restarts_total", model)),
    };
    this.facts.replaceChildren(...Object.entries(facts).map(([name, value]) => {
      return make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }));
    }));
  }

  async order(verb) {
    const said = this.isGone ? "Load" : verb === "load" ? "Reload" : "Unload";
    const what = {
      Load: `Load ${this.name}?`,
      Reload: `Reload ${this.name} from its files? Its workers serve until the new ones do.`,
      Unload: `Unload ${this.name}? Who asks it is refused until it is loaded again.`,
    };
    if (!(await this.confirm(what[said], said))) return;
    this.isBusy = this.load.disabled = this.unload.disabled = true;
    this.outcome.textContent = `${said}…`;
    try {
      await postJson(modelPath(this.name, verb), "{}");
      this.outcome.textContent = `${said}: done.`;
    } catch (error) {
      this.outcome.textContent = `${said}: ${error.message}`;
    }
    this.isBusy = false;
    this.look();
  }
}

function asRow(worker) {
  const state = worker.is_ejected ? `${worker.phase}, ejected` : worker.phase;
  const cells = [worker.id, worker.pid, state, bytes(worker.resident_bytes), worker.generation];
  return make("tr", {}, ...cells.map((cell) => make("td", { textContent: String(cell) })));
}
