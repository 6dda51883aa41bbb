// The counters of /metrics, and what happened between two looks at them: rates, quantiles, histograms.
// A counter that is less than before has begun anew, so that all of it has happened since.

const SAMPLE = /^headway_([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a text for Prometheus, by name. */
export class Scrape {
  constructor(text, atMs) {
    this.atMs = atMs;
    this.samples = new Map();
    for (const line of text.split("\n")) {
      const [, name, labels = "", value] = SAMPLE.exec(line) || [];
      if (name) this.series(name).push({ labels: readLabels(labels), value: Number(value) });
    }
  }

  series(name) {
    if (!this.samples.has(name)) this.samples.set(name, []);
    return this.samples.get(name);
  }

  /** The sum of the samples with these labels. */
  sum(name, wanted = {}) {
    return this.series(name)
      .filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value))
      .reduce((total, { value }) => total + value, 0);
  }

  /** How many of a histogram's values are in each bucket, by its upper bound. */
  buckets(name, model) {
    let below = 0;
    return this.series(`${name}_bucket`)
      .filter(({ labels }) => labels.model === model)
      .map(({ labels, value }) => {
        const count = value - below;
        below = value;
        return { bound: labels.le === "+Inf" ? Infinity : Number(labels.le), count };
      });
  }

  label(name, key) {
    return this.series(name)[0]?.labels[key] || "";
  }
}

function readLabels(text) {
  const plain = (value) => value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, key, value]) => [key, plain(value)]));
}

/** By how much a counter grew a second. */
export function rate(before, after, name, wanted) {
  return grown(before.sum(name, wanted), after.sum(name, wanted)) / ((after.atMs - before.atMs) / 1000);
}

const grown = (then, now) => (now >= then ? now - then : now);

/** The values that a histogram saw between two looks. */
export function seen(before, after, name, model) {
  const then = before.buckets(name, model);
  return after.buckets(name, model).map(({ bound, count }, i) => ({ bound, count: grown(then[i]?.count ?? 0, count) }));
}

/** The mean of what a histogram saw between two looks; nothing if it saw nothing. */
export function mean(before, after, name, model) {
  const by = (part) => grown(before.sum(`${name}_${part}`, { model }), after.sum(`${name}_${part}`, { model }));
  return by("count") ? by("sum") / by("count") : undefined;
}

/** The value that a share of all does not exceed, by a straight line through its bucket; nothing of nothing. */
export function quantile(buckets, share) {
  const rank = share * buckets.reduce((total, { count }) => total + count, 0);
  let [low, below] = [0, 0];
  if (!rank) return undefined;
  for (const { bound, count } of buckets) {
    if (below + count >= rank && count) return bound === Infinity ? low : low + ((bound - low) * (rank - below)) / count;
    [low, below] = [bound, below + count];
  }
  return undefined;
}
