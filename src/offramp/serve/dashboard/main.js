/** The page: who looks, what the server says, and what is drawn of it. */

import { prepareAdding } from "./adding.js";
import { Refusal, json } from "./api.js";
import { CameraView } from "./camera.js";
import { exitColour } from "./colours.js";
import { byId, explain, show, write } from "./dom.js";
import { Live } from "./live.js";
import { askForToken, prepareLogin } from "./login.js";
import { drawMachine } from "./machine.js";
import { Model } from "./model.js";
import { Pictures } from "./pictures.js";
import { Wall } from "./wall.js";
import { duration, exit } from "./words.js";

const RETRY_MS = 2000;
const DRAW_MS = 500;

const model = new Model();
const pictures = new Pictures();
const wall = new Wall(pictures);
const live = new Live({ onTold, onEvent, onGone, onLocked, onLink: drawLink });
const view = new CameraView(model, pictures, () => live.refresh());

byId("alarm").lastChild.onclick = () => show(byId("alarm"), false);
prepareLogin(begin);
prepareAdding(() => live.refresh());
addEventListener("hashchange", () => view.follow());
addEventListener("resize", draw);
setInterval(draw, DRAW_MS);
begin();

/** Ask who looks; then keep up, or let that one log in. */
async function begin() {
  try {
    model.me = await json("/api/me");
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return onLocked();
    onGone(Date.now(), error.message);
    setTimeout(begin, RETRY_MS);
    return;
  }
  onGone(null);
  if (!model.may("viewer")) return onLocked();
  show(byId("login"), false);
  show(byId("logout"), model.me.tokens);
  show(byId("add"), model.may("admin"));
  write(byId("who"), model.me.tokens ? `${model.me.name} (${model.me.role})` : "");
  live.start();
}

function onTold(status, cameras) {
  const first = model.status === null;
  model.update(status, cameras, performance.now() / 1000);
  show(byId("app"), true);
  write(byId("model"), `${status.model} · ${status.network} ${status.size[1]} × ${status.size[0]}`);
  explain(
    byId("exits"),
    status.points.map((point, k) => [exitColour(k, status.points.length), exit(k, point)]),
  );
  if (document.title !== `${status.model} · offramp`) document.title = `${status.model} · offramp`;
  draw();
  if (first) view.follow();
}

function onEvent(kind, told) {
  model.hear(kind, told, new Date());
  if (kind !== "alarm") return;
  const [{ when, camera, text }] = model.events;
  write(byId("alarm").firstChild, `${when.toLocaleTimeString()} ${camera || "server"}: ${text}`);
  show(byId("alarm"), true);
}

/** Say that the server is gone since a time, or, with null, that it is there. */
function onGone(since, why = "") {
  const gone = byId("gone");
  const was = !gone.hidden;
  show(gone, since !== null);
  document.body.classList.toggle("lost", since !== null);
  if (since !== null) {
    const ago = duration((Date.now() - since) / 1000);
    write(gone, `For ${ago}: ${why}. Trying again; what is shown is old.`);
  } else if (was) {
    view.look(); // its stream ended with the server
  }
  draw();
}

function onLocked() {
  live.stop();
  model.me = null;
  byId("camera").close();
  byId("adding").close();
  askForToken();
  drawLink();
}

function draw() {
  drawLink();
  if (model.status === null || document.hidden || byId("app").hidden) return;
  drawMachine(model);
  wall.draw(model);
  if (view.name !== null) view.draw();
}

function drawLink() {
  const link = byId("link");
  const gone = !byId("gone").hidden;
  const locked = model.me === null;
  const [state, text] = gone
    ? ["gone", "server gone"]
    : live.listening
      ? ["live", "live"]
      : ["wait", model.status === null ? "connecting" : "no events"];
  link.dataset.link = state;
  show(link, gone || !locked);
  write(link, text);
}
