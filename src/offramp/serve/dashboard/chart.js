/** Charts of samples over time as SVG: stacked areas, or lines. */

const NAMES = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const EDGE = { left: 42, right: 8, top: 8, bottom: 20 };
const GAP_S = 5; // between samples; beyond it there is a hole in the chart
const LEAST_S = 60;

/**
 * One chart in an `svg` element.
 *
 * `draw(samples, series, now)` takes samples with a time `at` in seconds, and series with a
 * `colour` and `of(sample)`, which gives a number or null. Stacked series lie on one another.
 */
export class Chart {
  constructor(svg, { stacked = false, top = null, tick = String } = {}) {
    this._svg = svg;
    this._stacked = stacked;
    this._top = top;
    this._tick = tick;
  }

  draw(samples, series, now) {
    const width = this._svg.clientWidth;
    if (!width) return;
    const heights = levels(samples, series, this._stacked);
    const top = this._top ?? ceiling(Math.max(0, ...heights.flat(2).filter(Number.isFinite)));
    const span = Math.max(LEAST_S, samples.length ? now - samples[0].at : 0);
    const x = (at) => EDGE.left + (1 - (now - at) / span) * (width - EDGE.left - EDGE.right);
    const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
    this._svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const shapes = series.map(({ colour }, k) => {
      const outline = this._stacked ? area(samples, heights[k], x, y) : line(samples, heights[k], x, y);
      const shape = draw("path", { d: outline, class: this._stacked ? "area" : "line" });
      shape.style.setProperty(this._stacked ? "fill" : "stroke", colour);
      return shape;
    });
    this._svg.replaceChildren(...shapes, ...this._axes(top, span, width, y));
  }

  _axes(top, span, width, y) {
    const lines = [0, top / 2, top].flatMap((value) => [
      draw("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
      draw("text", { x: EDGE.left - 6, y: y(value) + 4, class: "end" }, this._tick(value)),
    ]);
    const long = span < 120 ? `${Math.round(span)} s ago` : `${Math.round(span / 60)} min ago`;
    return [
      ...lines,
      draw("text", { x: EDGE.left, y: HEIGHT - 4 }, long),
      draw("text", { x: width - EDGE.right, y: HEIGHT - 4, class: "end" }, "now"),
    ];
  }
}

/** Draw values as a small line without axes, over the whole width once there are 20. */
export function spark(svg, values) {
  const top = Math.max(...values, 1e-9);
  const steps = Math.max(values.length, 20) - 1;
  const x = (k) => (100 * (k + steps + 1 - values.length)) / steps;
  const points = values.map((value, k) => `${x(k)},${23 - (20 * value) / top}`).join(" ");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(
    draw("polygon", { points: `${x(0)},24 ${points} 100,24`, class: "area" }),
    draw("polyline", { points, class: "line" }),
  );
}

/** The next of 1, 2, 4, 6, 8, 10, 20, … that is not below the value; 1 at least. */
export function ceiling(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * size).find((step) => step >= value * (1 - 1e-9));
}

/** For each series and sample where it begins and ends, as [low, high]; null where it has no value. */
export function levels(samples, series, stacked) {
  const bases = samples.map(() => 0);
  return series.map(({ of }) =>
    samples.map((sample, k) => {
      const value = of(sample);
      if (value === null || value === undefined) return null;
      const low = stacked ? bases[k] : 0;
      if (stacked) bases[k] += value;
      return [low, low + value];
    }),
  );
}

/** Indices of samples that have a value, in runs without a hole. */
export function runs(samples, heights) {
  const found = [];
  samples.forEach((sample, k) => {
    if (heights[k] === null) return;
    const run = found.at(-1);
    if (run && sample.at - samples[run.at(-1)].at <= GAP_S) run.push(k);
    else found.push([k]);
  });
  return found;
}

function area(samples, heights, x, y) {
  return runs(samples, heights)
    .map((run) => {
      const high = run.map((k) => `${x(samples[k].at).toFixed(1)},${y(heights[k][1]).toFixed(1)}`);
      const low = run.map((k) => `${x(samples[k].at).toFixed(1)},${y(heights[k][0]).toFixed(1)}`);
      return `M${[...high, ...low.reverse()].join("L")}Z`;
    })
    .join("");
}

function line(samples, heights, x, y) {
  return runs(samples, heights)
    .map((run) => {
      const points = run.map((k) => `${x(samples[k].at).toFixed(1)},${y(heights[k][1]).toFixed(1)}`);
      return `M${points.join("L")}${points.length === 1 ? "h1" : ""}`;
    })
    .join("");
}

function draw(tag, attributes, text = "") {
  const made = document.createElementNS(NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}
