/** Colours of exits, warm where the path begins and blue at its end, as in the report. Pure. */

const EARLY_TO_LATE = ["#d97706", "#dc4a1a", "#db2777", "#7c3aed", "#2563eb", "#1e56c8"];

/** The colour of one of `total` exits. */
export function exitColour(index, total) {
  const place = (index / Math.max(total - 1, 1)) * (EARLY_TO_LATE.length - 1);
  const left = Math.min(Math.floor(place), EARLY_TO_LATE.length - 2);
  const [from, to] = [parts(EARLY_TO_LATE[left]), parts(EARLY_TO_LATE[left + 1])];
  const mixed = from.map((part, k) => Math.round(part + (to[k] - part) * (place - left)));
  return `rgb(${mixed.join(" ")})`;
}

/** The colour of a class, given as its three parts. */
export const classColour = (rgb) => `rgb(${rgb.join(" ")})`;

function parts(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}
