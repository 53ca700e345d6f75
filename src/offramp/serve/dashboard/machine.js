/** The line above the wall: load, quality, answers a second, what waits, how long it is up. */

import { spark } from "./chart.js";
import { byId, element, slotsOf, write } from "./dom.js";
import { count, duration, level, percent, rate } from "./words.js";

const slots = slotsOf(byId("app").querySelector(".machine"));

export function drawMachine(model) {
  const { statistics } = model.status;
  write(slots.load, percent(statistics.utilisation));
  slots.loadbar.value = statistics.utilisation;
  write(slots.workers, `${statistics.workers} ${statistics.workers === 1 ? "worker" : "workers"}`);
  drawLevel(statistics);
  write(slots.fps, rate(model.rates.at(-1) ?? 0));
  spark(slots.spark, model.rates);
  write(slots.total, totals(model));
  write(slots.queued, String(statistics.queued));
  write(slots.begun, `${statistics.begun} being computed`);
  write(slots.uptime, duration(statistics.uptime_s));
  write(slots.engine, statistics.engine);
}

function drawLevel(statistics) {
  const [title, words] = level(statistics.level_name);
  write(slots.level, title);
  write(slots.words, words);
  const { rungs } = slots;
  while (rungs.children.length > statistics.levels) rungs.lastChild.remove();
  while (rungs.children.length < statistics.levels) rungs.append(element("i"));
  [...rungs.children].forEach((rung, k) => {
    rung.className = k >= statistics.level ? "kept" : "";
  });
  slots.level.closest(".fact").dataset.level =
    statistics.level === 0 ? "full" : statistics.level === statistics.levels - 1 ? "last" : "some";
}

function totals(model) {
  const all = [...model.cameras.values()].reduce((sum, { told }) => sum + told.counts.answered, 0);
  const { answered } = model.status.statistics.requests;
  return `${count(all)} frames${answered ? `, ${count(answered)} requests` : ""} so far`;
}
