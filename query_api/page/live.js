// Selects the site and opens its event streams.

import { SHOWN_ALERTS, addAlerts, clearAlerts } from "./alerts.js";
import { byId, clock, create, server, setText } from "./dom.js";
import { askForToken, lockedReason, rememberOpened } from "./locked.js";
import { clearLatest, showLive } from "./now.js";
import { showFirstEvent, showInstallation, showTagDialog } from "./tag.js";
import { hasEvents, showInvalid, showUnknown } from "./unknown.js";

const RETRY_MS = 2000;
const REFRESH_SITES_MS = 30000;
const MAX_SITES = 1000;
// The storage key of the last selected site.
const SELECTED_SITE = "headrace.site";

let streams = [];
// The selected site, and the sites of the token.
let current = null;
let sites = [];
let retryTimer = null;
let receivedAt = null;
// Whether the page has waited for the first event of the site.
let isNew = false;
// The time until which the counters are complete, if they are stalled.
let stalledSince = null;

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
  byId("show-tag").hidden = id !== "now";
}

function setState(name, text) {
  document.body.dataset.state = name;
  setText(byId("state-text"), text);
}

function setLost() {
  setState("lost", receivedAt ? `Reconnecting, last update ${clock(receivedAt)}` : "Reconnecting");
}

const get = (path) => fetch(path).catch(() => null);

function close() {
  clearTimeout(retryTimer);
  for (const stream of streams) stream.close();
  streams = [];
}

function watch(site) {
  close();
  clearAlerts();
  clearLatest();
  const base = `${server}/api/sites/${encodeURIComponent(site)}`;
  const live = new EventSource(`${base}/live/stream?latest=1`);
  const alerts = new EventSource(`${base}/alerts/stream`);
  streams = [live, alerts];
  live.addEventListener("live", (event) => {
    receivedAt = new Date();
    const counters = JSON.parse(event.data);
    stalledSince = counters.stalled_since && new Date(counters.stalled_since);
    showLive(counters);
    if (isNew && counters.latest.length) {
      isNew = false;
      showFirstEvent(counters.latest.at(-1));
    }
    onOpen();
  });
  alerts.addEventListener("alert", (event) => addAlerts([JSON.parse(event.data)], true));
  // Loads earlier alerts, and those that were raised while the connection was lost.
  alerts.addEventListener("open", async () => {
    const response = await get(`${base}/alerts?limit=${SHOWN_ALERTS}`);
    if (response?.ok && streams[1] === alerts) addAlerts((await response.json()).items, false);
  });
  for (const stream of streams) {
    stream.addEventListener("open", onOpen);
    stream.addEventListener("error", () => onError(stream, site));
  }
}

function onOpen() {
  if (!streams.every((stream) => stream.readyState === EventSource.OPEN)) return;
  if (stalledSince) setState("stalled", `Counters stalled since ${clock(stalledSince, true)}`);
  else setState("live", "Live");
}

// Browsers reconnect by themselves, except after an error response: then check the token.
function onError(stream, site) {
  if (!streams.includes(stream)) return;
  setLost();
  if (stream.readyState !== EventSource.CLOSED) return;
  close();
  setTimeout(async () => {
    if (streams.length || document.hidden || current !== site) return;
    const response = await get(`${server}/api/sites`);
    if (response?.status === 401) showLocked(await lockedReason(response));
    else open(site);
  }, RETRY_MS);
}

function showLocked(reason, others = []) {
  close();
  current = null;
  setState("lost", "Locked");
  document.title = "headrace";
  show("locked");
  askForToken(reason, others, start);
}

async function start() {
  const response = await get(`${server}/api/sites?limit=${MAX_SITES}`);
  if (response?.status === 401) return showLocked(await lockedReason(response));
  const page = response?.ok ? await response.json() : { items: [] };
  sites = page.items.map((item) => item.site_id);
  const requested = new URLSearchParams(location.search).get("site");
  if (response?.ok) rememberOpened();
  if (!response?.ok || (!sites.length && !requested)) {
    if (response?.ok) showEmpty();
    else setLost();
    return setTimeout(start, RETRY_MS);
  }
  const selected = localStorage.getItem(SELECTED_SITE);
  const isAvailable = sites.includes(selected) || (selected && page.next_cursor);
  const site = requested || (isAvailable ? selected : sites[0]);
  fillPicker(site);
  open(site);
}

// Shows a site. If that fails, shows why and retries.
async function open(site) {
  close();
  current = site;
  const { found, failed } = await hasEvents(site, get);
  if (current !== site || document.hidden) return;
  if (found) {
    show("now");
    return watch(site);
  }
  document.title = "headrace";
  const others = sites.filter((other) => other !== site);
  if (failed?.status === 401) return showLocked(await lockedReason(failed));
  if (failed?.status === 403) return showLocked(`This token has no access to “${site}”.`, others);
  // 404: a name that contains a slash or consists of dots leads to another path.
  if ([400, 404].includes(failed?.status)) {
    setState("lost", "No such site");
    showInvalid(site, others);
    return show("unknown");
  }
  if (failed === undefined) {
    setState("live", "Waiting");
    isNew = true;
    showUnknown(site, others);
    show("unknown");
  } else setLost();
  retryTimer = setTimeout(() => open(site), RETRY_MS);
}

function showEmpty() {
  setState("live", "Waiting");
  isNew = true;
  showInstallation();
  show("empty");
}

// Adds new sites to the picker.
async function refreshSites() {
  if (!current || document.activeElement === byId("site")) return;
  const response = await get(`${server}/api/sites?limit=${MAX_SITES}`);
  if (!response?.ok || !current) return;
  sites = (await response.json()).items.map((item) => item.site_id);
  fillPicker(current);
}

function fillPicker(site) {
  const options = sites.includes(site) ? sites : [site, ...sites];
  const picker = byId("site");
  picker.replaceChildren(...options.map((name) => create("option", { value: name }, name)));
  picker.value = site;
  picker.closest("label").hidden = options.length < 2;
  byId("only-site").hidden = options.length > 1;
  setText(byId("only-site"), site);
}

function onSelect() {
  const url = new URL(location);
  url.searchParams.set("site", byId("site").value);
  history.replaceState(null, "", url);
  localStorage.setItem(SELECTED_SITE, byId("site").value);
  isNew = false;
  open(byId("site").value);
}

byId("site").addEventListener("change", onSelect);
byId("show-tag").addEventListener("click", () => showTagDialog(current));
setInterval(refreshSites, REFRESH_SITES_MS);
// Hidden tabs close their streams: browsers limit the connections to a host.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (current) open(current);
});
start();
