/** The form that adds a camera. */

import { json } from "./api.js";
import { byId, write } from "./dom.js";

export function prepareAdding(refresh) {
  const dialog = byId("adding");
  const form = dialog.querySelector("form");
  const fault = dialog.querySelector(".fault");
  byId("add").onclick = () => {
    form.reset();
    write(fault, "");
    dialog.showModal();
  };
  form.querySelector("[value=cancel]").onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const button = form.querySelector(".strong");
    button.disabled = true;
    try {
      await json("/api/cameras", { method: "POST", body: specOf(new FormData(form)) });
      dialog.close();
      refresh();
    } catch (error) {
      write(fault, error.message);
    } finally {
      button.disabled = false;
    }
  };
}

/** What the form asks for: an empty number is none, but a weight is 1. */
function specOf(data) {
  const spec = { name: data.get("name"), address: data.get("address").trim() };
  for (const key of ["max_fps", "deadline_ms", "min_miou"]) {
    spec[key] = data.get(key) === "" ? null : Number(data.get(key));
  }
  spec.weight = Number(data.get("weight") || 1);
  return spec;
}
