// The token form.

import { byId, linkSites, server, setText } from "./dom.js";

// The storage key that records that a token was accepted; its cookie expires after 30 days.
const OPENED = "headrace.opened";
const EXPIRED = "This browser's access has expired: enter the token again.";
// Messages by the fragment that the redirect from a URL with a token adds.
const URL_TOKEN_ERRORS = {
  "#token-unknown": "The token in the link is unknown. Was the link copied completely?",
  "#token-revoked": "The token in the link was revoked. Ask for a new one.",
};

export function rememberOpened() {
  localStorage.setItem(OPENED, "1");
}

// Returns the reason of a 401 response; empty if this browser never had a token.
export async function lockedReason(response) {
  const reason = URL_TOKEN_ERRORS[location.hash];
  if (location.hash in URL_TOKEN_ERRORS) history.replaceState(null, "", location.pathname + location.search);
  if (reason) return reason;
  const challenge = response.headers.get("www-authenticate");
  if (challenge?.includes("invalid_token")) return (await response.json()).error;
  return localStorage.getItem(OPENED) ? EXPIRED : "";
}

// Shows the form. `sites` are those of the current token; `onAccepted` is called when one is valid.
export function askForToken(reason, sites, onAccepted) {
  setError(reason);
  setText(byId("locked-title"), reason && sites.length ? "This page needs another token" : "This page needs a token");
  linkSites(byId("locked-sites"), sites);
  byId("token-form").onsubmit = (event) => {
    event.preventDefault();
    submit(onAccepted);
  };
  byId("token").focus();
}

function setError(reason) {
  byId("locked-why").hidden = !reason;
  setText(byId("locked-why"), reason);
  byId("token").setAttribute("aria-invalid", String(Boolean(reason)));
}

async function submit(onAccepted) {
  const response = await fetch(`${server}/page/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: tokenIn(byId("token").value) }),
  }).catch(() => null);
  if (response?.ok) {
    byId("token").value = "";
    setError("");
    return onAccepted();
  }
  const body = await response?.json().catch(() => null);
  setError(body?.error ?? "The server does not respond. Try again in a moment.");
  byId("token").select();
}

// Extracts the token from a pasted token, URL or header.
function tokenIn(text) {
  const match = /[?&]access_token=([^&#\s]+)/.exec(text);
  return match ? match[1] : text.trim().replace(/^bearer\s+/i, "");
}
