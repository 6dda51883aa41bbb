// Numbers as people read them; what nobody knows is a dash.

const NOTHING = "–";

export function number(value) {
  if (value === undefined) return NOTHING;
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toPrecision(2);
}

export function seconds(value) {
  if (value === undefined) return NOTHING;
  const [shown, unit] = value >= 1 ? [value, "s"] : value >= 0.001 ? [value * 1e3, "ms"] : [value * 1e6, "µs"];
  return `${shown >= 100 ? shown.toFixed(0) : Number(shown.toPrecision(2))} ${unit}`;
}

export function bytes(value) {
  return value === undefined || value === null ? NOTHING : `${(value / 1e6).toFixed(value < 1e8 ? 1 : 0)} MB`;
}

export function span(value) {
  const [m, h, d] = [60, 3600, 86400].map((unit) => Math.floor(value / unit));
  if (d) return `${d} d ${h % 24} h`;
  if (h) return `${h} h ${m % 60} min`;
  return m ? `${m} min ${Math.floor(value % 60)} s` : `${Math.floor(value)} s`;
}
