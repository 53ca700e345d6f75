/** What a camera did in the last minutes, sample by sample. Pure: the time is given. */

export const KEPT = 300;

/** The q-quantile of numbers, linear between neighbours; null of none. */
export function quantile(values, q) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const place = q * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

/**
 * Samples of one camera. Rates come from the server's counters, so that no answer is missed where
 * events are; latencies and areas come from the events of the answers since the last sample.
 */
export class History {
  constructor() {
    /** Each with: at (s), rates (answers a second by exit), p50, p95 (ms), areas (shares). */
    this.samples = [];
    this.lastExit = null;
    this._before = null;
    this._latencies = [];
    this._areas = null;
  }

  /** Note an answer: its exit, its latency, and the share of each class, if they were counted. */
  answer(exit, latency, areas) {
    this.lastExit = exit;
    if (this._latencies.length < 2000) this._latencies.push(latency);
    if (areas.length) this._areas = areas;
  }

  /** Take a sample: the counters of the exits at a time in seconds. */
  sample(at, exits) {
    const before = this._before;
    this._before = { at, exits };
    if (before === null || at <= before.at) return;
    const deltas = exits.map((value, k) => value - before.exits[k]);
    if (deltas.some((delta) => !(delta >= 0))) return; // the server or the camera began anew
    if (!this._latencies.length && deltas.some((delta) => delta > 0)) {
      this.lastExit = deltas.indexOf(Math.max(...deltas)); // no events: the usual one of late
    }
    this.samples.push({
      at,
      rates: deltas.map((delta) => delta / (at - before.at)),
      p50: quantile(this._latencies, 0.5),
      p95: quantile(this._latencies, 0.95),
      areas: this._areas,
    });
    if (this.samples.length > KEPT) this.samples.shift();
    this._latencies = [];
    this._areas = null;
  }
}
