// The live page: which site, and the connections that tell of it.

import { SHOWN_ALERTS, addAlerts, forgetAlerts } from "./alerts.js";
import { at, clock, make, tell } from "./dom.js";
import { forgetLatest, showLive } from "./now.js";

const AGAIN_MS = 2000;
const SITES_EVERY_MS = 30000;
const SITES_SHOWN = 1000;
// The site that was picked last: it stays, however many others there are by now.
const CHOSEN = "headrace.site";

let streams = [];
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

// A browser comes back by itself, but not when it was refused: then the token may be over.
function lost(stream, site) {
  if (!streams.includes(stream)) return;
  away();
  if (stream.readyState !== EventSource.CLOSED) return;
  close();
  setTimeout(async () => {
    if (streams.length || document.hidden) return;
    const answer = await ask("/api/sites");
    if (answer?.status === 401) locked();
    else watch(site);
  }, AGAIN_MS);
}

function locked() {
  state("lost", "Locked");
  show("locked");
}

async function start() {
  const answer = await ask(`/api/sites?limit=${SITES_SHOWN}`);
  if (answer?.status === 401) return locked();
  const known = answer?.ok ? await answer.json() : { items: [] };
  const sites = known.items.map((item) => item.site_id);
  if (!sites.length) {
    if (answer?.ok) empty();
    else away();
    return setTimeout(start, AGAIN_MS);
  }
  const wanted = new URLSearchParams(location.search).get("site") ?? localStorage.getItem(CHOSEN);
  const site = sites.includes(wanted) || (wanted && known.next_cursor) ? wanted : sites[0];
  offer(sites.includes(site) ? sites : [site, ...sites], site);
  show("now");
  watch(at("site").value);
  setInterval(refreshSites, SITES_EVERY_MS);
  // A browser has few connections for one address: a tab that nobody sees holds none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else watch(at("site").value);
  });
}

function empty() {
  state("live", "Waiting");
  tell(at("example"), `curl ${location.origin}/api/event \\\n`
    + `  -d '{"type":"pageview",\n       "site_id":"my-site",\n`
    + `       "session_id":"s1",\n       "path":"/hello"}'`);
  tell(at("demo"), `headrace demo --to ${location.origin}`);
  show("empty");
}

// A site that begins while the page is open can be picked, too.
async function refreshSites() {
  const answer = await ask(`/api/sites?limit=${SITES_SHOWN}`);
  if (!answer?.ok || document.activeElement === at("site")) return;
  const sites = (await answer.json()).items.map((item) => item.site_id);
  const site = at("site").value;
  offer(sites.includes(site) ? sites : [site, ...sites], site);
}

function offer(sites, site) {
  const picker = at("site");
  picker.replaceChildren(...sites.map((name) => make("option", { value: name }, name)));
  picker.value = site;
  picker.closest("label").hidden = sites.length < 2;
  at("only-site").hidden = sites.length > 1;
  tell(at("only-site"), site);
  picker.onchange = () => {
    history.replaceState(null, "", `?site=${encodeURIComponent(picker.value)}`);
    localStorage.setItem(CHOSEN, picker.value);
    watch(picker.value);
  };
}

start();
