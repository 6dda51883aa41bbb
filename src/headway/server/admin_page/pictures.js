// Two pictures, drawn as SVG: a line over the last two minutes, and a histogram.

import { make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 240;
const HIGH = 56;
const FOOT = 14;
export const SPAN_S = 120;
const LEAST_S = 20;

export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A figure with a caption, and room for a picture of `high` units. */
function figure(title, high) {
  const value = make("span", { className: "value" });
  const picture = shape("svg", { viewBox: `0 0 ${WIDE} ${high}`, role: "img", "aria-label": title });
  const element = make("figure", {}, make("figcaption", {}, make("span", { textContent: title }), value), picture);
  return { element, value, picture };
}

/** Values over time, one line for each name. */
export class Lines {
  constructor(title, names, show) {
    Object.assign(this, figure(title, HIGH), { title, names, show });
    this.lines = names.map((_, i) => shape("path", { class: `line line-${i}` }));
    this.picture.append(shape("path", { class: "axis", d: `M0 ${HIGH - 0.5}H${WIDE}` }), ...this.lines);
  }

  /** Draw points of `{ atMs, values }`, the newest last; a value that nobody knows leaves a gap. */
  draw(points) {
    const known = points.flatMap(({ values }) => values).filter((value) => value !== undefined);
    const most = Math.max(...known, 0) || 1;
    const last = points[points.length - 1];
    const spanS = Math.max((last.atMs - points[0].atMs) / 1000, LEAST_S);
    const place = ({ atMs }) => WIDE - ((last.atMs - atMs) / 1000 / spanS) * WIDE;
    this.lines.forEach((line, i) => line.setAttribute("d", pathOf(points, i, most, place)));
    const told = this.names.map((name, i) => [name, this.show(last.values[i])].filter(Boolean).join(" "));
    this.value.textContent = told.join(", ");
    this.picture.setAttribute("aria-label", `${this.title}: ${told.join(", ")}; at most ${this.show(most)} in two minutes`);
  }
}

/** A line through the values of number `i`, with a gap where one is not known. */
function pathOf(points, i, most, place) {
  let isDown = false;
  return points.map((point) => {
    const value = point.values[i];
    if (value === undefined) {
      isDown = false;
      return "";
    }
    const y = HIGH - 1 - (value / most) * (HIGH - 4);
    const step = `${isDown ? "L" : "M"}${place(point).toFixed(1)} ${y.toFixed(1)}${isDown ? "" : "h0.1"}`;
    isDown = true;
    return step;
  }).join("");
}

/** How often each size was seen. */
export class Histogram {
  constructor(title, show) {
    Object.assign(this, figure(title, HIGH + FOOT), { title, show });
  }

  draw(buckets) {
    const total = buckets.reduce((sum, { count }) => sum + count, 0);
    const first = buckets.findIndex(({ count }) => count);
    const last = buckets.findLastIndex(({ count }) => count);
    const shown = total ? buckets.slice(Math.max(0, first - 1), last + 2) : [];
    const most = Math.max(...shown.map(({ count }) => count), 1);
    const step = WIDE / Math.max(shown.length, 6);
    const every = Math.ceil(shown.length / 6);
    const limit = (i) => (shown[i].bound === Infinity ? `> ${this.show(shown[i - 1]?.bound ?? 0)}` : this.show(shown[i].bound));
    const bars = shown.flatMap(({ count }, i) => {
      const high = (count / most) * (HIGH - 2);
      const bar = shape("rect", { class: "bar", x: i * step + 1, y: HIGH - high, width: step - 2, height: high });
      const label = shape("text", { class: "label", x: (i + 0.5) * step, y: HIGH + FOOT - 3 });
      label.textContent = i % every ? "" : limit(i);
      return count ? [bar, label] : [label];
    });
    this.picture.replaceChildren(shape("path", { class: "axis", d: `M0 ${HIGH}H${WIDE}` }), ...bars);
    this.value.textContent = total ? `${total} in a minute` : "none in a minute";
    const told = shown.map(({ count }, i) => (count ? `${count} up to ${limit(i)}` : "")).filter(Boolean);
    this.picture.setAttribute("aria-label", `${this.title}: ${told.join(", ") || "none in the last minute"}`);
  }
}
