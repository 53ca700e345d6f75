/** One camera at large: its stream, its numbers, its charts, its events, and what may be done to it. */

import { ask, camera as path } from "./api.js";
import { Chart } from "./chart.js";
import { classColour, exitColour } from "./colours.js";
import { byId, define, element, explain, show, slotsOf, write } from "./dom.js";
import { place } from "./pictures.js";
import { absence, count, exit, ms, percent, rate } from "./words.js";

const STREAM_FPS = 10;
const KEY = "details";
const WIDTH_PX = 720;

export class CameraView {
  constructor(model, pictures, refresh) {
    this.name = null;
    this._model = model;
    this._pictures = pictures;
    this._refresh = refresh;
    this._dialog = byId("camera");
    this._slots = slotsOf(this._dialog);
    this._view = "overlay";
    const { exits, latency, area } = this._slots;
    this._charts = {
      exits: new Chart(exits, { stacked: true }),
      latency: new Chart(latency),
      area: new Chart(area, { stacked: true, top: 1, tick: (share) => percent(share) }),
    };
    this._wire();
  }

  /** Show the camera that the page's address names, or none. */
  follow() {
    const name = decodeURIComponent(location.hash.match(/^#camera=(.+)$/)?.[1] ?? "");
    if (!this._model.cameras.has(name)) return this._dialog.close();
    if (name === this.name) return;
    this.name = name;
    write(this._slots.fault, "");
    this._slots.events.dataset.key = "";
    this._slots.picture.hidden = true;
    if (!this._dialog.open) this._dialog.showModal();
    this._dialog.scrollTop = 0;
    this.look();
    this.draw();
  }

  /** Open the stream, or the rounds of pictures, of the view that was chosen. */
  look() {
    const { picture } = this._slots;
    this._pictures.forget(KEY);
    picture.removeAttribute("src");
    if (this.name === null || document.hidden) return;
    if (this._view !== "overlay") return this._poll(this._view);
    picture.onload = () => show(picture, true);
    picture.onerror = () => this._poll("overlay"); // no place for a stream is left, or it ended
    picture.src = path(this.name, `/overlay?fps=${STREAM_FPS}&width=${WIDTH_PX}`);
    show(picture, true);
  }

  draw() {
    const camera = this._model.cameras.get(this.name);
    if (!camera) return this._dialog.close();
    const { told, history } = camera;
    const { status } = told;
    const { state, reason } = status;
    const slots = this._slots;
    this._dialog.dataset.state = state;
    write(slots.name, this.name);
    write(slots.state, state);
    write(slots.address, told.status.address);
    const lost = document.body.classList.contains("lost");
    write(slots.over, lost ? "No answer from the server" : absence(state, reason));
    slots.picture.parentElement.style.setProperty("--shape", status.size?.join(" / ") ?? "16 / 9");
    slots.picture.alt = `${this.name}, ${this._view}`;
    show(slots.pause, this._model.may("operator") && !["ended", "failed"].includes(state));
    write(slots.pause, state === "paused" ? "Resume" : "Pause");
    show(slots.reopen, this._model.may("operator") && (told.monitored?.floor ?? 0) > 0);
    show(slots.remove, this._model.may("admin"));
    define(slots.facts, facts(told, this._model.status));
    this._drawCharts(told, history);
    this._drawEvents();
  }

  _wire() {
    const { close, pause, reopen, remove, views } = this._slots;
    close.onclick = () => this._dialog.close();
    this._dialog.onclick = (event) => event.target === this._dialog && this._dialog.close();
    this._dialog.onclose = () => {
      this.name = null;
      this.look();
      if (location.hash) history.replaceState(null, "", location.pathname);
    };
    views.onclick = ({ target }) => {
      if (!target.dataset.view) return;
      this._view = target.dataset.view;
      for (const button of views.children) {
        button.ariaPressed = String(button === target);
      }
      this.look();
    };
    pause.onclick = () => {
      const paused = this._model.cameras.get(this.name)?.told.status.state === "paused";
      this._do(pause, path(this.name, paused ? "/resume" : "/pause"), "POST");
    };
    reopen.onclick = () => this._do(reopen, path(this.name, "/reopen"), "POST");
    remove.onclick = () => {
      if (confirm(`Watch ${this.name} no longer?`)) this._do(remove, path(this.name), "DELETE");
    };
    document.addEventListener("visibilitychange", () => this.look());
  }

  async _do(button, address, method) {
    button.disabled = true;
    try {
      await ask(address, { method });
      write(this._slots.fault, "");
      this._refresh();
    } catch (error) {
      write(this._slots.fault, error.message);
    } finally {
      button.disabled = false;
    }
  }

  _poll(view) {
    const { picture } = this._slots;
    const name = this.name;
    if (name === null) return;
    const number = () => this._model.cameras.get(name)?.told.counts.answered ?? 0;
    this._pictures.want(KEY, { name, view, width: WIDTH_PX, number, show: (blob) => place(picture, blob) });
  }

  _drawCharts(told, history) {
    const { points, classes } = this._model.status;
    const { samples } = history;
    const now = performance.now() / 1000;
    const exits = points.map((point, k) => ({
      colour: exitColour(k, points.length),
      of: (sample) => sample.rates[k],
    }));
    this._charts.exits.draw(samples, exits, now);
    const shares = told.counts.exits.map((n) => (told.counts.answered ? n / told.counts.answered : 0));
    explain(
      this._slots.exitlegend,
      points.map((point, k) => [exits[k].colour, `${exit(k, point)} ${percent(shares[k])}`]),
    );
    const latency = [
      { colour: "var(--p95)", of: (sample) => sample.p95 },
      { colour: "var(--p50)", of: (sample) => sample.p50 },
    ];
    this._charts.latency.draw(samples, latency, now);
    explain(this._slots.latencylegend, [["var(--p50)", "p50"], ["var(--p95)", "p95"]]);
    const areas = classes.map(({ colour }, k) => ({
      colour: classColour(colour),
      of: (sample) => sample.areas?.[k] ?? null,
    }));
    this._charts.area.draw(samples, areas, now);
    const last = samples.findLast((sample) => sample.areas)?.areas;
    explain(
      this._slots.arealegend,
      classes.map(({ name }, k) => [areas[k].colour, last ? `${name} ${percent(last[k], 1)}` : name]),
    );
  }

  _drawEvents() {
    const own = this._model.events.filter(({ camera }) => camera === this.name || camera === "");
    const { events } = this._slots;
    const key = `${own.length} ${own[0]?.when.getTime()}`;
    if (events.dataset.key === key) return;
    events.dataset.key = key;
    const lines = own.map(({ when, kind, text }) => {
      const time = element("time", { text: when.toLocaleTimeString() });
      time.dateTime = when.toISOString();
      const line = element("li", { children: [time, element("b", { text: kind }), element("span", { text })] });
      line.dataset.kind = kind;
      return line;
    });
    const none = element("li", { kind: "muted", text: "Nothing since this page was opened." });
    events.replaceChildren(...(lines.length ? lines : [none]));
  }
}

/** The numbers of a camera, in pairs of a term and a text. */
function facts(told, { points }) {
  const { counts, spec, status } = told;
  const { counters, size } = status;
  const dropped = Object.entries(counts.dropped).filter(([, number]) => number);
  return [
    ["Answers", `${rate(told.fps)} a second, ${count(counts.answered)} so far`],
    ["Comes", `${rate(status.fps)} a second${size ? `, ${size.join(" × ")}` : ""}`],
    ["Latency", `p50 ${ms(told.p50_ms)}, p95 ${ms(told.p95_ms)}`],
    ["Deadline", spec.deadline_ms === null ? "none" : `${ms(spec.deadline_ms)}; ${count(counts.late)} late, ${count(counts.involuntary)} cut short`],
    ["Dropped", dropped.length ? dropped.map(([why, number]) => `${count(number)} ${why}`).join(", ") : "0"],
    ["Shed", `${count(counts.shed)}${counts.failed ? `, ${count(counts.failed)} failed` : ""}`],
    ["Exits allowed", allowed(told, points)],
    ["Unchanged", counts.same ? `${count(counts.same)} answers given again` : null],
    ["Agreement", told.agreement === null ? null : `${percent(told.agreement, 2)} of the pixels with the last exit, ${count(counts.shadowed)} compared`],
    ["Drift", drift(told.monitored)],
    ["Wanted", wanted(spec)],
    ["Connection", `${count(counters.reconnects)} reconnects, ${count(counters.corrupt)} damaged`],
  ];
}

/** What the monitor knows of a camera: what early answers lose, and how often that was too much. */
function drift(watch) {
  if (!watch) return null;
  const alarms = watch.alarms === 1 ? "1 alarm" : `${watch.alarms} alarms`;
  return `${percent(watch.mean, 1)} differ, ${percent(watch.upper, 1)} at most; ${alarms}`;
}

function allowed({ floor, cap }, points) {
  if (floor >= points.length) return "none before the end";
  return floor >= cap ? `only ${exit(floor, points[floor])}` : `${floor + 1} to ${cap + 1}`;
}

function wanted({ weight, max_fps, min_miou }) {
  const parts = [`weight ${weight}`];
  if (max_fps !== null) parts.push(`at most ${max_fps} fps`);
  if (min_miou !== null) parts.push(`mIoU at least ${min_miou}`);
  return parts.join(", ");
}
