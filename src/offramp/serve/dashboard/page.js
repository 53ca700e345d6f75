"use strict";

const said = document.getElementById("said");
const login = document.getElementById("login");
const table = document.getElementById("cameras");

async function show() {
  const answer = await fetch("/api/cameras");
  login.hidden = answer.status !== 401;
  table.hidden = !answer.ok;
  const value = await answer.json();
  said.textContent = answer.ok ? (value.length ? "" : "No cameras.") : value.error;
  if (!answer.ok) return;
  const rows = value.map((camera) => {
    const row = document.createElement("tr");
    const { name, address, state, reason } = camera.status;
    for (const text of [name, address, state, reason]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: document.getElementById("token").value });
  const answer = await fetch("/api/login", { method: "POST", body });
  if (answer.ok) await show();
  else said.textContent = (await answer.json()).error;
});

show();
setInterval(() => { if (!table.hidden) show(); }, 2000);
