/** Requests to the server, and what may come instead of an answer. */

const PATIENCE_MS = 10000;

/** The server said no. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The server did not answer. */
export class Gone extends Error {}

/** The path of a camera. */
export const camera = (name, rest = "") => `/api/cameras/${encodeURIComponent(name)}${rest}`;

/** Ask; gives the response. Raises Refusal or Gone. */
export async function ask(path, { method = "GET", body } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Gone("no answer from the server");
  }
  if (response.ok) return response;
  throw new Refusal(response.status, await reasonOf(response));
}

/** Ask for JSON. */
export async function json(path, options) {
  const response = await ask(path, options);
  try {
    return await response.json();
  } catch {
    throw new Gone("the server's answer broke off");
  }
}

/** Ask for a picture; gives it as a blob. */
export async function picture(path) {
  const response = await ask(path);
  try {
    return await response.blob();
  } catch {
    throw new Gone("the picture broke off");
  }
}

async function reasonOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `status ${response.status}`;
  }
}
