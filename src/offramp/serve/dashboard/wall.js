/** The wall: a tile a camera, with its picture, its state and its numbers. */

import { exitColour } from "./colours.js";
import { byId, clone, element, show, write } from "./dom.js";
import { place } from "./pictures.js";
import { absence, count, exit, ms, percent, rate } from "./words.js";

const TILE_PX = 320;
const CROPPED = 0.15; // of a picture whose shape is nearly a tile's, so much may lie outside

export class Wall {
  constructor(pictures) {
    this._list = byId("wall");
    this._pictures = pictures;
    this._tiles = new Map();
    this._seen = new IntersectionObserver((entries) => entries.forEach((entry) => this._look(entry)), {
      rootMargin: "100px",
    });
  }

  /** Bring the tiles up to what the model knows. */
  draw(model) {
    for (const name of this._tiles.keys()) {
      if (!model.cameras.has(name)) this._drop(name);
    }
    for (const [name, camera] of model.cameras) {
      const tile = this._tiles.get(name) ?? this._make(name);
      tile.camera = camera;
      drawTile(tile.slots, tile.root, camera, model.status.points);
    }
    show(byId("none"), model.cameras.size === 0);
    write(byId("summary"), summary(model));
  }

  _make(name) {
    const tile = { name, ...clone("tile"), camera: null };
    write(tile.slots.name, name);
    tile.slots.open.href = `#camera=${encodeURIComponent(name)}`;
    this._tiles.set(name, tile);
    this._list.append(tile.root);
    tile.root.dataset.name = name;
    this._seen.observe(tile.root);
    return tile;
  }

  _drop(name) {
    const { root } = this._tiles.get(name);
    this._seen.unobserve(root);
    this._pictures.forget(`tile ${name}`);
    this._tiles.delete(name);
    root.remove();
  }

  /** Pictures are fetched for the tiles that can be seen. */
  _look({ target, isIntersecting }) {
    const tile = this._tiles.get(target.dataset.name);
    if (!tile) return;
    const key = `tile ${tile.name}`;
    if (!isIntersecting) return this._pictures.forget(key);
    this._pictures.want(key, {
      name: tile.name,
      view: "overlay",
      width: Math.round(TILE_PX * Math.min(devicePixelRatio, 2)),
      number: () => tile.camera.told.counts.answered,
      show: (blob) => place(tile.slots.picture, blob),
    });
  }
}

function drawTile(slots, root, { told, history }, points) {
  const { state, reason } = told.status;
  const { counts } = told;
  root.dataset.state = state;
  write(slots.state, state);
  write(slots.over, absence(state, reason));
  const last = history.lastExit;
  show(slots.exit, last !== null && state === "running");
  if (last !== null) {
    write(slots.exit, exit(last, points[last]));
    slots.exit.style.setProperty("--colour", exitColour(last, points.length));
  }
  const [width, height] = told.status.size ?? [16, 9];
  slots.picture.classList.toggle("near", Math.abs(Math.log((width / height) * (9 / 16))) < CROPPED);
  slots.picture.alt = `${told.spec.name}, its last answer over its picture`;
  const opened = `${told.spec.name}, ${state}: show details`;
  if (slots.open.ariaLabel !== opened) slots.open.ariaLabel = opened;
  write(slots.fps, rate(told.fps));
  drawShares(slots.shares, counts, points);
  write(slots.p50, ms(told.p50_ms));
  write(slots.p95, ms(told.p95_ms));
  const dropped = Object.values(counts.dropped).reduce((sum, each) => sum + each, 0);
  write(slots.dropped, count(dropped));
  write(slots.shed, count(counts.shed + counts.failed));
  drawWatch(slots.watch, told, points);
}

/** A bar of the share of the answers that each exit gave, with the percentages in it. */
export function drawShares(bar, counts, points) {
  while (bar.children.length < points.length) bar.append(element("i"));
  const shares = counts.exits.map((answers) => (counts.answered ? answers / counts.answered : 0));
  [...bar.children].forEach((part, k) => {
    part.style.flexGrow = String(shares[k]);
    part.style.background = exitColour(k, points.length);
    write(part, shares[k] >= 0.12 ? percent(shares[k]) : "");
  });
  const told = points.map((point, k) => `${exit(k, point)} ${percent(shares[k])}`).join(", ");
  const words = counts.answered ? `Exits: ${told}` : "No answers yet";
  if (bar.title !== words) bar.title = bar.ariaLabel = words;
}

/** What a monitored camera's early answers have in common with the last exit's, and its floor. */
function drawWatch(line, told, points) {
  const parts = [];
  if (told.agreement !== null) parts.push(`agrees ${percent(told.agreement, 1)} with the last exit`);
  if (told.floor > 0) parts.push(`not before ${exit(told.floor, points[told.floor] ?? "end")}`);
  show(line, parts.length > 0);
  write(line, parts.join(" · "));
}

function summary(model) {
  const states = [...model.cameras.values()].map(({ told }) => told.status.state);
  const counted = new Map();
  for (const state of states) counted.set(state, (counted.get(state) ?? 0) + 1);
  return [...counted].map(([state, number]) => `${number} ${state}`).join(", ");
}
