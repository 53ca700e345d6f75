/** What the page knows: the server, its cameras, and what happened since it was opened. Pure. */

import { History } from "./history.js";
import { percent } from "./words.js";

const EVENTS_KEPT = 100;
const RATES_KEPT = 60;

export class Model {
  constructor() {
    this.me = null;
    this.status = null;
    /** Cameras by name, each as `{ told, history }`; `told` is what the server last said. */
    this.cameras = new Map();
    /** State, level and alarm events, the newest first: `{ when, kind, camera, text }`. */
    this.events = [];
    /** Answers a second of all cameras, second by second. */
    this.rates = [];
  }

  /** Whether the one who looks may do what a role may. */
  may(role) {
    const roles = ["anyone", "viewer", "operator", "admin"];
    return this.me !== null && roles.indexOf(this.me.role) >= roles.indexOf(role);
  }

  /** Take in what `/api/status` and `/api/cameras` said at a time in seconds. */
  update(status, cameras, at) {
    this.status = status;
    const known = new Map();
    for (const told of cameras) {
      const history = this.cameras.get(told.spec.name)?.history ?? new History();
      history.sample(at, told.counts.exits);
      known.set(told.spec.name, { told, history });
    }
    this.cameras = known;
    this.rates.push(cameras.reduce((sum, told) => sum + told.fps, 0));
    if (this.rates.length > RATES_KEPT) this.rates.shift();
  }

  /** Take in an event that came at a time (a Date). */
  hear(kind, told, when) {
    const known = this.cameras.get(told.camera);
    if (kind === "answer") {
      const classes = this.status?.classes ?? [];
      const counted = Object.keys(told.area).length > 0;
      const areas = counted ? classes.map(({ name }) => told.area[name] ?? 0) : [];
      known?.history.answer(told.exit, told.latency_ms, areas);
      return;
    }
    if (kind === "state" && known) {
      known.told.status.state = told.state;
      known.told.status.reason = told.reason;
    }
    this.events.unshift({ when, kind, camera: told.camera, text: saying(kind, told) });
    this.events.length = Math.min(this.events.length, EVENTS_KEPT);
  }
}

/** An event in words. */
export function saying(kind, told) {
  const { camera, ...rest } = told;
  if (kind === "state") return [rest.state, rest.reason].filter(Boolean).join(": ");
  if (kind === "level") return `quality ${rest.name}: ${rest.reason}`;
  if (rest.alarm === "drift") {
    const differ = `early answers differ from the last exit's in ${percent(rest.disagreement, 1)}`;
    return `drift: ${differ} of the pixels; exits before exit ${rest.floor + 1} are closed`;
  }
  return [rest.alarm, rest.reason].filter(Boolean).join(": ");
}
