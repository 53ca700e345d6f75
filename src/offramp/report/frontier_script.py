"""The script of the interactive front: vanilla JavaScript that draws one inline SVG.

All words and colours come with the data, made in Python; the script does geometry alone. Its
pure functions (`ticks`, `span`, `undominated`, `nearest`) know no document, so that they can be
tested without a browser.
"""

SCRIPT = r"""
"use strict";

function ticks(low, high, log, most) {
  const found = [];
  if (log) {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const steps = last - first > 4 ? [1] : [1, 2, 5];
    for (let power = first; power <= last; power++)
      for (const step of steps) {
        const value = Number(`${step}e${power}`);
        if (value >= low && value <= high) found.push(value);
      }
    if (found.length > 2) return found;
    found.length = 0;
  }
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(many => many * power >= rough * 0.999999);
  for (let count = Math.ceil(low / step - 1e-9); count * step <= high + 1e-9 * step; count++)
    found.push(count * step);
  return found;
}

function span(values, log) {
  let low = Math.min(...values), high = Math.max(...values);
  if (log) {
    const pad = (high / low) ** 0.06 + (high === low ? 0.1 : 0);
    return [low / pad, high * pad];
  }
  const pad = 0.06 * (high - low) || 0.06 * Math.abs(high) || 1;
  return [low - pad, high + pad];
}

function undominated(points, cost) {
  const order = [...points].sort((a, b) => a[cost] - b[cost] || b.miou - a.miou);
  let best = -Infinity;
  return order.filter(point => point.miou > best && ((best = point.miou), true));
}

function nearest(spots, x, y) {
  let found = null, least = Infinity;
  for (const spot of spots) {
    const far = (spot.x - x) ** 2 + (spot.y - y) ** 2;
    if (far < least) [found, least] = [spot, far];
  }
  return found;
}

function element(parent, name, attributes, text) {
  const made = document.createElementNS(parent.namespaceURI, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

class Plot {
  constructor(root, data) {
    this.data = data;
    this.svg = root.querySelector("svg");
    this.panel = root.querySelector(".panel");
    this.chosen = data.points.findIndex(point => point.role === "chosen");
    this.pinned = this.picked = this.chosen;
    this.axis = data.axes.find(axis => axis.name === data.axis);
    this.log = false;
    this.close = false;
    this.buttons(root.querySelector(".controls"));
    this.svg.addEventListener("pointermove", event => this.point(event));
    this.svg.addEventListener("pointerdown", event => {
      this.point(event);
      this.pinned = this.picked;
    });
    this.svg.addEventListener("pointerleave", () => this.pick(this.pinned));
    this.svg.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.svg.parentElement);
    this.draw();
  }

  buttons(bar) {
    const group = (label, choices, now, set) => {
      const box = element(bar, "div", {role: "group", "aria-label": label});
      element(box, "span", {}, label);
      const made = choices.map(([text, value]) => {
        const state = {type: "button", "aria-pressed": value === now};
        const button = element(box, "button", state, text);
        button.addEventListener("click", () => {
          made.forEach(other => other.setAttribute("aria-pressed", other === button));
          set(value);
          this.draw();
        });
        return button;
      });
    };
    const axes = this.data.axes.map(axis => [axis.label, axis]);
    group("Cost", axes, this.axis, value => { this.axis = value; });
    group("Scale", [["linear", false], ["log", true]], false, value => { this.log = value; });
    if (this.far().length > 1)
      group("Show", [["all", false], ["close-up", true]], false, value => { this.close = value; });
  }

  far() {
    return this.data.points.filter(point => point.miou < this.data.closeup);
  }

  shown() {
    return this.data.points.filter(
      point => !this.close || point.miou >= this.data.closeup || point.role === "chosen");
  }

  draw() {
    const {svg, data, axis} = this, cost = axis.name, points = this.shown();
    const width = Math.max(300, svg.parentElement.clientWidth), height = width < 560 ? 340 : 470;
    const left = 46, right = width - 14, top = 14, bottom = height - 44;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const costs = points.map(point => point[cost]), most = Math.max(...costs);
    if (axis.bound !== null && axis.bound < 1.4 * most) costs.push(axis.bound);
    let [x0, x1] = span(costs, this.log);
    if (!this.log && x0 > 0 && x0 < 0.35 * x1 || x0 < 0 && !this.log) x0 = 0;
    const floored = data.floor !== null && data.floor >= Math.min(...points.map(p => p.miou)) - 2;
    const [y0, y1] = span([...points.map(p => p.miou), ...(floored ? [data.floor] : [])], false);
    const part = value => this.log ? Math.log(value / x0) / Math.log(x1 / x0)
                                   : (value - x0) / (x1 - x0);
    const x = value => left + (right - left) * part(value);
    const y = value => bottom - (bottom - top) * (value - y0) / (y1 - y0);
    this.frame = {left, right, top, bottom, x, y};
    const across = ticks(x0, x1, this.log, Math.round((right - left) / 75));
    this.grid(across, ticks(y0, y1, false, 6), x1);
    this.bounds(x0, x1, floored, width > 560);
    this.line(points, cost);
    this.spots = points.map(point => ({point, x: x(point[cost]), y: y(point.miou)}));
    const order = {cloud: 0, front: 1, full: 2, chosen: 3};
    for (const spot of [...this.spots].sort((a, b) => order[a.point.role] - order[b.point.role]))
      this.mark(spot);
    this.ring = element(svg, "g", {"pointer-events": "none"});
    this.pick(this.picked);
  }

  grid(across, up, high) {
    const {svg, axis, frame: {left, right, top, bottom, x, y}} = this;
    const [unit, size] = axis.units.find(([, size]) => high >= size) || axis.units.at(-1);
    const text = value => String(Number((value / size).toPrecision(6)));
    for (const value of up) {
      element(svg, "line", {x1: left, x2: right, y1: y(value), y2: y(value), stroke: "#e2e8f0"});
      element(svg, "text", {x: left - 7, y: y(value) + 4, "text-anchor": "end"},
              String(Number(value.toPrecision(6))));
    }
    let last = -Infinity;
    for (const value of across) {
      element(svg, "line", {x1: x(value), x2: x(value), y1: top, y2: bottom, stroke: "#e2e8f0"});
      if (x(value) - last < 34) continue;
      last = x(value);
      element(svg, "text", {x: last, y: bottom + 17, "text-anchor": "middle"}, text(value));
    }
    element(svg, "line", {x1: left, x2: right, y1: bottom, y2: bottom, stroke: "#94a3b8"});
    const name = unit.endsWith(axis.what) ? unit : `${axis.what} (${unit})`;
    element(svg, "text", {x: (left + right) / 2, y: bottom + 37, "text-anchor": "middle"}, name);
    element(svg, "text", {x: left + 5, y: top + 8}, "dataset mIoU (%)");
  }

  bounds(x0, x1, floored, roomy) {
    const {svg, data, axis, frame: {left, right, top, bottom, x, y}} = this;
    const line = {stroke: "#0f766e", "stroke-width": 1.4, "stroke-dasharray": "6 4"};
    const shade = {fill: "#64748b", opacity: 0.07};
    if (floored) {
      const at = y(data.floor);
      element(svg, "rect", {x: left, y: at, width: right - left, height: bottom - at, ...shade});
      element(svg, "line", {x1: left, x2: right, y1: at, y2: at, class: "bound", ...line});
      if (roomy)
        element(svg, "text", {x: left + 5, y: at + 15, class: "name", style: "fill:#0f766e"},
                `least mIoU ${data.floor.toFixed(2)} %`);
    }
    if (axis.bound !== null && axis.bound > x0 && axis.bound < x1) {
      const at = x(axis.bound);
      element(svg, "rect", {x: at, y: top, width: right - at, height: bottom - top, ...shade});
      element(svg, "line", {x1: at, x2: at, y1: top, y2: bottom, class: "bound", ...line});
      element(svg, "text", {class: "name", style: "fill:#0f766e",
        transform: `translate(${at + 15} ${bottom - 8}) rotate(-90)`}, `at most ${axis.most}`);
    }
  }

  line(points, cost) {
    const {svg, frame: {right, x, y}} = this;
    const best = undominated(points.filter(point => point.role !== "cloud"), cost);
    let path = "";
    for (const point of best)
      path += path ? `H${x(point[cost])}V${y(point.miou)}` : `M${x(point[cost])} ${y(point.miou)}`;
    element(svg, "path", {d: `${path}H${right}`, fill: "none", stroke: "#64748b",
                          "stroke-width": 1.5, opacity: 0.7});
  }

  mark({point, x, y}) {
    const {svg, frame: {right, top}} = this;
    if (point.role === "cloud") {
      element(svg, "circle", {cx: x, cy: y, r: 3, fill: point.colour, opacity: 0.35});
      return;
    }
    if (point.role === "front") {
      element(svg, "circle", {cx: x, cy: y, r: 5, fill: point.colour, stroke: "#fff"});
      return;
    }
    const chosen = point.role === "chosen";
    const shape = `M${x} ${y}` + (chosen ? "m0 -9l9 9l-9 9l-9 -9Z" : "m-6 -6l12 12m-12 0l12 -12");
    element(svg, "path", chosen
      ? {d: shape, fill: "#0f766e", stroke: "#fff", "stroke-width": 2, class: point.role}
      : {d: shape, stroke: "#1e293b", "stroke-width": 3.5, class: point.role});
    const above = !chosen && y > top + 30;  // the two names part where their marks are close
    element(svg, "text", {class: "name", style: `fill:${chosen ? "#0f766e" : "#1e293b"}`,
      x: Math.min(x, right - (chosen ? 26 : 46)), y: y + (above ? -13 : 26),
      "text-anchor": "middle"}, chosen ? "chosen" : "full network");
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const spot = nearest(this.spots, event.clientX - box.left, event.clientY - box.top);
    if (spot) this.pick(this.data.points.indexOf(spot.point));
  }

  key(event) {
    const step = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}[event.key];
    if (!step) return;
    event.preventDefault();
    const cost = this.axis.name;
    const order = this.shown().sort((a, b) => a[cost] - b[cost]);
    const here = order.indexOf(this.data.points[this.picked]);
    const next = order[Math.min(Math.max(here + step, 0), order.length - 1)];
    this.pinned = this.data.points.indexOf(next);
    this.pick(this.pinned);
  }

  pick(index) {
    this.picked = index;
    const {data, frame: {left, bottom}} = this, point = data.points[index];
    const spot = this.spots.find(other => other.point === point);
    this.ring.replaceChildren();
    if (spot) {
      const thin = {stroke: "#1e293b", "stroke-width": 0.8, "stroke-dasharray": "2 3"};
      element(this.ring, "line", {x1: left, x2: spot.x, y1: spot.y, y2: spot.y, ...thin});
      element(this.ring, "line", {x1: spot.x, x2: spot.x, y1: spot.y, y2: bottom, ...thin});
      element(this.ring, "circle", {cx: spot.x, cy: spot.y, r: 11, fill: "none",
                                    stroke: "#1e293b", "stroke-width": 1.5});
    }
    this.tell(point);
  }

  tell(point) {
    const {panel, data, axis} = this;
    panel.replaceChildren();
    element(panel, "b", {class: "role"}, data.roles[point.role]);
    const list = element(panel, "ol", {});
    for (const [name, note] of point.exits) {
      const item = element(list, "li", {}, name);
      if (note) element(item, "small", {}, note);
    }
    const table = element(element(panel, "table", {}), "tbody", {});
    for (const [name, value] of point.rows) {
      const row = element(table, "tr", {});
      element(row, "td", {}, name);
      element(row, "td", {}, value);
    }
    const chosen = data.points[this.chosen];
    if (point === chosen) return;
    const change = 100 * (point[axis.name] / chosen[axis.name] - 1);
    const gain = point.miou - chosen.miou, signed = value => (value < 0 ? "−" : "+") +
      Math.abs(value).toFixed(2);
    element(panel, "p", {}, `Against the chosen design: ${signed(gain)} points of mIoU, ` +
      `${signed(change)} % ${axis.what}.`);
  }
}

if (typeof document !== "undefined")
  for (const root of document.querySelectorAll(".front"))
    new Plot(root, JSON.parse(root.querySelector("script").textContent));
"""
