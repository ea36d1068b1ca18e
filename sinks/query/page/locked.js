// The token field: what it says is missing or wrong, and what it sends.

import { at, links, tell } from "./dom.js";

// That a token opened the page before: its cookie lasts for 30 days.
const OPENED = "headrace.opened";
const EXPIRED = "This browser's access has expired: enter the token again.";
// What the redirect from an address with a token says.
const OF_ADDRESS = {
  "#token-unknown": "The token in the address is not known here. Was all of it copied?",
  "#token-revoked": "The token in the address was revoked. Ask for another one.",
};

export function opened() {
  localStorage.setItem(OPENED, "1");
}

// Why the server answered with 401; empty when there is no token, and never was.
export async function whyLocked(answer) {
  const why = OF_ADDRESS[location.hash];
  if (location.hash in OF_ADDRESS) history.replaceState(null, "", location.pathname + location.search);
  if (why) return why;
  if (answer.headers.get("www-authenticate")?.includes("invalid_token")) return (await answer.json()).error;
  return localStorage.getItem(OPENED) ? EXPIRED : "";
}

// Asks for a token; `sites` are those that the present one is for. `again` is called with a good one.
export function askForToken(why, sites, again) {
  complain(why);
  tell(at("locked-title"), why && sites.length ? "This page needs another token" : "This page needs a token");
  links(at("locked-sites"), sites);
  at("token-form").onsubmit = (event) => {
    event.preventDefault();
    send(again);
  };
  at("token").focus();
}

function complain(why) {
  at("locked-why").hidden = !why;
  tell(at("locked-why"), why);
  at("token").setAttribute("aria-invalid", String(Boolean(why)));
}

async function send(again) {
  const answer = await fetch("/page/token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: tokenIn(at("token").value) }),
  }).catch(() => null);
  if (answer?.ok) {
    at("token").value = "";
    complain("");
    return again();
  }
  const body = await answer?.json().catch(() => null);
  complain(body?.error ?? "The server does not answer. Try again in a moment.");
  at("token").select();
}

// What was pasted may be the whole address.
function tokenIn(text) {
  const found = /[?&]access_token=([^&#\s]+)/.exec(text);
  return found ? found[1] : text.trim().replace(/^bearer\s+/i, "");
}
