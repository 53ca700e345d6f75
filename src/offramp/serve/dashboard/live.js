/** Keeps up with the server: events as they come, counters every second, and what if it is gone. */

import { Gone, Refusal, json } from "./api.js";

const PERIOD_MS = 1000;
const LONGEST_WAIT_MS = 15000;
const KINDS = ["answer", "state", "level", "alarm"];

/**
 * Asks and listens while the page is looked at. A page in the background lets its connections go:
 * browsers open six to a server, for all tabs together.
 *
 * Calls `onTold(status, cameras)`, `onEvent(kind, told)`, `onGone(since)` with null once the
 * server is back, `onLocked()` where it wants to know who asks, and `onLink()` when events begin
 * or cease to come.
 */
export class Live {
  constructor(calls) {
    this._calls = calls;
    this._going = false;
    this._timer = null;
    this._source = null;
    this._wait = 0;
    this._retry = null;
    this._goneSince = null;
    document.addEventListener("visibilitychange", () => this._look());
    addEventListener("online", () => this._going && this.refresh());
  }

  /** Whether events come at this moment. */
  get listening() {
    return this._source?.readyState === EventSource.OPEN;
  }

  start() {
    this._going = true;
    this._look();
  }

  stop() {
    this._going = false;
    this._rest();
  }

  /** Ask now, and once a period from then on. */
  async refresh() {
    clearTimeout(this._timer);
    const turn = (this._turn = (this._turn ?? 0) + 1);
    try {
      const [status, cameras] = await Promise.all([json("/api/status"), json("/api/cameras")]);
      if (turn !== this._turn || !this._going) return;
      this._back();
      this._calls.onTold(status, cameras);
    } catch (error) {
      if (turn !== this._turn || !this._going) return;
      if (error instanceof Refusal && error.status === 401) {
        this.stop();
        this._calls.onLocked();
        return;
      }
      if (!(error instanceof Gone || error instanceof Refusal)) throw error;
      this._goneSince ??= Date.now();
      this._calls.onGone(this._goneSince, error.message);
    } finally {
      const due = turn === this._turn && this._going && !document.hidden;
      if (due) this._timer = setTimeout(() => this.refresh(), PERIOD_MS);
    }
  }

  _look() {
    if (!this._going) return;
    if (document.hidden) {
      this._rest();
    } else {
      this.refresh();
      this._listen();
    }
  }

  _rest() {
    clearTimeout(this._timer);
    clearTimeout(this._retry);
    this._turn = (this._turn ?? 0) + 1;
    this._source?.close();
    this._source = null;
  }

  /** The server answers: note it, and listen at once if that waits. */
  _back() {
    if (this._goneSince === null) return;
    this._goneSince = null;
    this._wait = 0;
    this._calls.onGone(null);
    if (!this.listening) this._listen();
  }

  _listen() {
    clearTimeout(this._retry);
    this._source?.close();
    const source = (this._source = new EventSource("/api/events"));
    source.onopen = () => {
      this._wait = 0;
      this._calls.onLink();
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => this._calls.onEvent(kind, JSON.parse(event.data)));
    }
    // The browser's own retries end at the first refusal, such as "too many streams".
    source.onerror = () => {
      source.close();
      if (this._source !== source) return;
      this._calls.onLink();
      this._wait = Math.min(this._wait ? 2 * this._wait : 1000, LONGEST_WAIT_MS);
      this._retry = setTimeout(() => this._listen(), this._wait);
    };
  }
}
