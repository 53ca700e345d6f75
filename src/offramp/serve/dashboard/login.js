/** Logging in and out. The token is sent once, for a cookie that scripts cannot read. */

import { ask, json } from "./api.js";
import { byId, show, write } from "./dom.js";

export function prepareLogin(entered) {
  const form = byId("login").querySelector("form");
  const token = byId("token");
  const fault = form.querySelector(".fault");
  form.onsubmit = async (event) => {
    event.preventDefault();
    write(fault, "");
    try {
      await json("/api/login", { method: "POST", body: { token: token.value } });
      token.value = "";
      entered();
    } catch (error) {
      write(fault, error.message);
      token.select();
    }
  };
  byId("logout").onclick = async () => {
    await ask("/api/logout", { method: "POST" }).catch(() => {});
    location.reload();
  };
}

/** Show the form in place of all else. */
export function askForToken() {
  show(byId("app"), false);
  show(byId("login"), true);
  show(byId("logout"), false);
  write(byId("who"), "");
  byId("token").focus();
}
