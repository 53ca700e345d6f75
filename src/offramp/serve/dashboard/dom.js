/** Small tools on the page's elements: find, clone, and write only what has changed. */

export const byId = (id) => document.getElementById(id);

/** All elements of `root` with a `data-slot`, by its value. */
export function slotsOf(root) {
  const all = [...root.querySelectorAll("[data-slot]")];
  return Object.fromEntries(all.map((element) => [element.dataset.slot, element]));
}

/** Clone a template; gives its first element and its slots. */
export function clone(id) {
  const root = byId(id).content.cloneNode(true).firstElementChild;
  return { root, slots: slotsOf(root) };
}

/** Set an element's text. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show or hide an element. */
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/** Make an element with a class, a text and children. */
export function element(tag, { kind = "", text = "", children = [] } = {}) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

/** Fill a list of definitions with pairs of a term and its text; a null text is left out. */
export function define(list, pairs) {
  const told = pairs.filter(([, text]) => text !== null);
  const rows = told.map(([term, text]) =>
    element("div", { children: [element("dt", { text: term }), element("dd", { text })] }),
  );
  const key = JSON.stringify(told);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...rows);
}

/** Fill a legend with entries of a colour and a text. */
export function explain(legend, entries) {
  const key = JSON.stringify(entries);
  if (legend.dataset.key === key) return;
  legend.dataset.key = key;
  legend.replaceChildren(
    ...entries.map(([colour, text]) => {
      const mark = element("i");
      mark.style.background = colour;
      return element("li", { children: [mark, text] });
    }),
  );
}
