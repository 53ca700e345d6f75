/** Fetches pictures for whoever shows some: few at a time, each only where there is a new one. */

import { Gone, Refusal, camera, picture } from "./api.js";

const AT_A_TIME = 2; // of the six connections that browsers open to a server
const REST_MS = 120; // after each: a wall of cameras shall cost the server little
const PERIOD_MS = 1000; // between two pictures of one camera

/**
 * Rounds of pictures. `want(key, { name, view, width, number, show })` asks for pictures of a camera,
 * at least `width` wide, whenever `number()` (its answers so far) has changed; `show(blob)` is given each.
 */
export class Pictures {
  constructor() {
    this._wanted = new Map();
    this._running = 0;
    this._timer = null;
  }

  want(key, wish) {
    this._wanted.set(key, { ...wish, last: null, next: 0, busy: false });
    this._go();
  }

  forget(key) {
    this._wanted.delete(key);
  }

  _go() {
    clearTimeout(this._timer);
    while (!document.hidden && this._running < AT_A_TIME) {
      const due = this._due(performance.now());
      if (!due) break;
      this._fetch(due);
    }
    this._timer = setTimeout(() => this._go(), PERIOD_MS / 4);
  }

  /** The wish that has waited longest. */
  _due(now) {
    const open = [...this._wanted.values()].filter(
      (wish) => !wish.busy && wish.next <= now && wish.number() > 0 && wish.number() !== wish.last,
    );
    return open.sort((a, b) => a.next - b.next)[0];
  }

  async _fetch(wish) {
    const number = wish.number();
    wish.busy = true;
    this._running += 1;
    try {
      const blob = await picture(camera(wish.name, `/snapshot?view=${wish.view}&width=${wish.width}`));
      wish.last = number;
      if ([...this._wanted.values()].includes(wish)) wish.show(blob);
    } catch (error) {
      if (!(error instanceof Gone || error instanceof Refusal)) throw error;
    } finally {
      wish.next = performance.now() + PERIOD_MS;
      wish.busy = false;
      setTimeout(() => {
        this._running -= 1;
        this._go();
      }, REST_MS);
    }
  }
}

/** Put a blob into an `img`, and let the one before go. */
export function place(image, blob) {
  const url = URL.createObjectURL(blob);
  image.onload = image.onerror = () => URL.revokeObjectURL(url);
  image.src = url;
  image.hidden = false;
}
