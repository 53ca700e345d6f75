/** Numbers and states in words. Pure. */

/** A count: 950, 12.3k, 4.56M. */
export function count(value) {
  if (value < 10000) return String(value);
  const [size, unit] = value < 1e6 ? [value / 1e3, "k"] : [value / 1e6, "M"];
  return `${size >= 100 ? size.toFixed(0) : size.toPrecision(3)}${unit}`;
}

/** Milliseconds; a dash where there are none. */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** A share from 0 to 1 as a percentage; 100 only where it is all. */
export function percent(share, digits = 0) {
  if (share === null || share === undefined) return "–";
  const scale = 10 ** digits;
  const shown = share < 1 ? Math.min(Math.round(100 * share * scale) / scale, 100 - 1 / scale) : 100;
  return `${shown.toFixed(digits)} %`;
}

/** A rate a second. */
export const rate = (value) => (value < 9.95 ? value.toFixed(1) : value.toFixed(0));

/** A time in its two largest units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A level of degradation: a title and a sentence, from the name that the server gives it. */
export function level(name) {
  const [kind, value] = name.split(" ");
  if (kind === "full") return ["Full", "Nothing is given up."];
  if (kind === "exit") return [`Up to exit ${value}`, `Too much to do: exit ${value} answers at the latest.`];
  if (kind === "rate") return ["Fewer frames", "Too much to do: each live camera's frame rate falls to its fair share."];
  if (kind === "shed") return ["Overloaded", "Frames are given up that are too late even for the first exit."];
  return [name, ""];
}

/** An exit as people count them, with its position in the network. */
export const exit = (index, point) => `exit ${index + 1} · ${point}`;

/** What stands over the picture of a camera that does not run. */
export function absence(state, reason) {
  const words = {
    connecting: "Connecting",
    stalled: "No picture comes",
    reconnecting: "No connection, trying again",
    ended: "The file is over",
    failed: "Cannot be watched",
    paused: "Paused",
  };
  return state === "running" ? "" : [words[state] ?? state, reason].filter(Boolean).join("\n");
}
