// The live page: which site, and the connections that tell of it.

import { SHOWN_ALERTS, addAlerts, forgetAlerts } from "./alerts.js";
import { at, clock, make, tell } from "./dom.js";
import { askForToken, opened, whyLocked } from "./locked.js";
import { forgetLatest, showLive } from "./now.js";
import { example, hasEvents, showImpossible, showUnknown } from "./unknown.js";

const AGAIN_MS = 2000;
const SITES_EVERY_MS = 30000;
const SITES_SHOWN = 1000;
// The site that was picked last: it stays, however many others there are by now.
const CHOSEN = "headrace.site";

let streams = [];
// The site that is shown or waited for, and those that the token may see.
let current = null;
let sites = [];
let waiting = null;
let heard = null;
// Until when the site was counted, while the server hears nothing new of it.
let stalled = null;

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

function state(name, text) {
  document.body.dataset.state = name;
  tell(at("state-text"), text);
}

function away() {
  state("lost", heard ? `Reconnecting, as of ${clock(heard)}` : "Reconnecting");
}

const ask = (path) => fetch(path).catch(() => null);

function close() {
  clearTimeout(waiting);
  for (const stream of streams) stream.close();
  streams = [];
}

function watch(site) {
  close();
  forgetAlerts();
  forgetLatest();
  const own = `/api/sites/${encodeURIComponent(site)}`;
  const live = new EventSource(`${own}/live/stream?latest=1`);
  const raised = new EventSource(`${own}/alerts/stream`);
  streams = [live, raised];
  live.addEventListener("live", (event) => {
    heard = new Date();
    const now = JSON.parse(event.data);
    stalled = now.stalled_since && new Date(now.stalled_since);
    showLive(now);
    back();
  });
  raised.addEventListener("alert", (event) => addAlerts([JSON.parse(event.data)], true));
  // What was raised before, or while the connection was lost.
  raised.addEventListener("open", async () => {
    const answer = await ask(`${own}/alerts?limit=${SHOWN_ALERTS}`);
    if (answer?.ok && streams[1] === raised) addAlerts((await answer.json()).items, false);
  });
  for (const stream of streams) {
    stream.addEventListener("open", back);
    stream.addEventListener("error", () => lost(stream, site));
  }
}

function back() {
  if (!streams.every((stream) => stream.readyState === EventSource.OPEN)) return;
  if (stalled) state("stalled", `Counting stalls, as of ${clock(stalled, true)}`);
  else state("live", "Live");
}

// A browser comes back by itself, but not when it was failed: then the token may be over.
function lost(stream, site) {
  if (!streams.includes(stream)) return;
  away();
  if (stream.readyState !== EventSource.CLOSED) return;
  close();
  setTimeout(async () => {
    if (streams.length || document.hidden || current !== site) return;
    const answer = await ask("/api/sites");
    if (answer?.status === 401) locked(await whyLocked(answer));
    else go(site);
  }, AGAIN_MS);
}

function locked(why, others = []) {
  close();
  current = null;
  state("lost", "Locked");
  document.title = "headrace";
  show("locked");
  askForToken(why, others, start);
}

async function start() {
  const answer = await ask(`/api/sites?limit=${SITES_SHOWN}`);
  if (answer?.status === 401) return locked(await whyLocked(answer));
  const known = answer?.ok ? await answer.json() : { items: [] };
  sites = known.items.map((item) => item.site_id);
  const named = new URLSearchParams(location.search).get("site");
  if (answer?.ok) opened();
  if (!answer?.ok || (!sites.length && !named)) {
    if (answer?.ok) empty();
    else away();
    return setTimeout(start, AGAIN_MS);
  }
  const chosen = localStorage.getItem(CHOSEN);
  const site = named || (sites.includes(chosen) || (chosen && known.next_cursor) ? chosen : sites[0]);
  offer(site);
  go(site);
}

// Shows a site, or says why there is nothing to show of it; then looks again.
async function go(site) {
  close();
  current = site;
  const { known, failed } = await hasEvents(site, ask);
  if (current !== site || document.hidden) return;
  if (known) {
    show("now");
    return watch(site);
  }
  document.title = "headrace";
  const others = sites.filter((other) => other !== site);
  if (failed?.status === 401) return locked(await whyLocked(failed));
  if (failed?.status === 403) return locked(`This token is not for “${site}”.`, others);
  // A name with a slash, or of dots alone, is another path for a browser.
  if ([400, 404].includes(failed?.status)) {
    state("lost", "No such site");
    showImpossible(site, others);
    return show("unknown");
  }
  if (failed === undefined) {
    state("live", "Waiting");
    showUnknown(site, others);
    show("unknown");
  } else away();
  waiting = setTimeout(() => go(site), AGAIN_MS);
}

function empty() {
  state("live", "Waiting");
  tell(at("example"), example("my-site"));
  tell(at("demo"), `headrace demo --to ${location.origin}`);
  show("empty");
}

// A site that begins while the page is open can be picked, too.
async function refreshSites() {
  if (!current || document.activeElement === at("site")) return;
  const answer = await ask(`/api/sites?limit=${SITES_SHOWN}`);
  if (!answer?.ok || !current) return;
  sites = (await answer.json()).items.map((item) => item.site_id);
  offer(current);
}

function offer(site) {
  const offered = sites.includes(site) ? sites : [site, ...sites];
  const picker = at("site");
  picker.replaceChildren(...offered.map((name) => make("option", { value: name }, name)));
  picker.value = site;
  picker.closest("label").hidden = offered.length < 2;
  at("only-site").hidden = offered.length > 1;
  tell(at("only-site"), site);
}

function pick() {
  const address = new URL(location);
  address.searchParams.set("site", at("site").value);
  history.replaceState(null, "", address);
  localStorage.setItem(CHOSEN, at("site").value);
  go(at("site").value);
}

at("site").addEventListener("change", pick);
setInterval(refreshSites, SITES_EVERY_MS);
// A browser has few connections for one address: a tab that nobody sees holds none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (current) go(current);
});
start();
