// The live page. Everything from the server is set as text, never as markup.

const SHOWN_ROWS = 8;
const SHOWN_ALERTS = 12;
const CHART = { width: 600, height: 160 };
const EMPTY_POLL_MS = 2000;
const SITES_EVERY_MS = 30000;
const SAY_EVERY_MS = 15000;

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const many = (count, one, more) => `${number.format(count)} ${count === 1 ? one : more}`;

const EVENT_NAMES = {
  pageview: "Page views", pageleave: "Page leaves", custom_event: "Custom events",
  web_vitals: "Web vitals", external_link: "External links", error: "Errors",
  payment: "Payments", identify: "Identified", button_click: "Button clicks",
  form_submit: "Forms sent", copy: "Copies",
};
const RULE_NAMES = { payment: "Payment", "error.new": "New error", "error.rate": "Error burst" };

let streams = [];
let saidAt = 0;

function make(tag, attributes = {}, ...children) {
  const space = ["svg", "rect", "line", "title"].includes(tag)
    ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
}

function state(name, text) {
  if (at("state").dataset.state === name) return;
  at("state").dataset.state = name;
  at("state-text").textContent = text;
}

// -- what happens now

function showLive(live) {
  const visitors = number.format(live.visitors_now);
  at("visitors").textContent = visitors;
  at("sessions").textContent = many(live.sessions_now, "session", "sessions");
  document.title = `${visitors} now · ${live.site_id}`;
  chart(live.per_minute);
  bars("pages", live.pages.map((page) => [page.path, page.sessions]), "Nobody is on a page");
  bars("referrers", live.referrers.map((from) => [from.host, from.sessions]), "All came directly");
  const events = Object.entries(live.events_last_minute)
    .map(([type, count]) => [EVENT_NAMES[type] ?? type, count])
    .sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
  bars("events", events, "None in the last minute");
  if (Date.now() - saidAt > SAY_EVERY_MS) {
    saidAt = Date.now();
    at("said").textContent = many(live.visitors_now, "visitor now", "visitors now");
  }
}

function chart(minutes) {
  const top = niceTop(Math.max(...minutes));
  const step = CHART.width / minutes.length;
  const total = minutes.reduce((sum, count) => sum + count, 0);
  const told = `${many(total, "event", "events")} in 30 minutes`;
  at("chart-top").textContent = number.format(top);
  at("chart-half").textContent = number.format(top / 2);
  at("minute-told").textContent = `${number.format(total)} in 30 minutes, peak ${number.format(Math.max(...minutes))}`;
  at("chart").replaceChildren(
    make("title", { id: "chart-title" }, `Events a minute: ${told}, ${minutes.at(-1)} in this one`),
    ...[0, 0.5, 1].map((part) => make("line", {
      class: "grid", x1: 0, x2: CHART.width, y1: part * CHART.height, y2: part * CHART.height,
    })),
    ...minutes.map((count, index) => {
      const height = (count / top) * CHART.height;
      return make("rect", {
        class: index === minutes.length - 1 ? "minute going-on" : "minute",
        x: (index + 0.14) * step, width: step * 0.72, y: CHART.height - height, height,
      });
    }),
  );
}

function niceTop(most) {
  if (most <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((part) => part * power).find((top) => top >= most);
}

function bars(id, rows, none) {
  const list = at(id);
  if (!rows.length) {
    list.replaceChildren(make("li", { class: "none" }, none));
    return;
  }
  const most = Math.max(...rows.map(([, count]) => count));
  const items = rows.slice(0, SHOWN_ROWS).map(([name, count], index) => {
    const old = list.children[index];
    const item = old?.querySelector("rect") ? old : make("li", {},
      make("svg", { "aria-hidden": "true", preserveAspectRatio: "none" },
        make("rect", { height: "100%", width: "0", rx: "6" })),
      make("span", { class: "name" }), make("span", { class: "count" }));
    item.querySelector("rect").setAttribute("width", `${(100 * count) / most}%`);
    const label = item.querySelector(".name");
    if (label.textContent !== name) { label.textContent = name; label.title = name; }
    item.querySelector(".count").textContent = number.format(count);
    return item;
  });
  if (list.children.length !== items.length || items.some((item, i) => list.children[i] !== item)) {
    list.replaceChildren(...items);
  }
}

// -- alerts

// By number: the list and the stream may tell the same one.
let alerts = new Map();

function addAlerts(items, fresh) {
  const before = alerts;
  const all = new Map([...alerts, ...items.map((alert) => [alert.seq, alert])]);
  alerts = new Map([...all].sort(([one], [other]) => other - one).slice(0, SHOWN_ALERTS));
  const shown = [...alerts.values()].map((alert) => {
    const item = alertItem(alert);
    if (fresh && !before.has(alert.seq)) item.classList.add("fresh");
    return item;
  });
  const none = make("li", { class: "none" }, "None so far: payments and errors are shown here");
  at("alerts").replaceChildren(...(shown.length ? shown : [none]));
  if (fresh) at("said").textContent = `Alert: ${items[0].title}`;
}

function alertItem(alert) {
  const raised = new Date(alert.raised_at);
  const kind = alert.rule.startsWith("error") ? "error" : "money";
  const today = raised.toDateString() === new Date().toDateString();
  const told = today
    ? raised.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : raised.toLocaleDateString([], { day: "numeric", month: "short" });
  return make("li", {},
    make("span", { class: "rule", "data-kind": kind }, RULE_NAMES[alert.rule] ?? alert.rule),
    make("span", { class: "title" }, alert.title),
    make("time", { datetime: alert.raised_at, title: raised.toLocaleString() }, told));
}

// -- connections

async function watch(site) {
  for (const stream of streams) stream.close();
  streams = [];
  const own = `/api/sites/${encodeURIComponent(site)}`;
  const live = new EventSource(`${own}/live/stream`);
  const raised = new EventSource(`${own}/alerts/stream`);
  streams = [live, raised];
  alerts = new Map();
  live.addEventListener("live", (event) => {
    state("live", "Live");
    showLive(JSON.parse(event.data));
  });
  raised.addEventListener("alert", (event) => addAlerts([JSON.parse(event.data)], true));
  live.addEventListener("error", () => lost(live, site));
  const answer = await fetch(`${own}/alerts?limit=${SHOWN_ALERTS}`);
  if (answer.ok && streams[0] === live) addAlerts((await answer.json()).items, false);
}

// A browser comes back by itself, but not when it was refused: then the token may be over.
function lost(stream, site) {
  state("lost", "Reconnecting");
  if (stream.readyState !== EventSource.CLOSED || streams[0] !== stream) return;
  setTimeout(async () => {
    if (streams[0] !== stream) return;
    const answer = await fetch("/api/sites").catch(() => null);
    if (answer?.status === 401) show("locked");
    else watch(site);
  }, EMPTY_POLL_MS);
}

async function start() {
  const answer = await fetch("/api/sites").catch(() => null);
  if (answer?.status === 401) {
    state("lost", "Locked");
    show("locked");
    return;
  }
  const sites = answer?.ok ? (await answer.json()).items.map((item) => item.site_id) : [];
  if (!sites.length) {
    if (answer?.ok) {
      state("live", "Waiting");
      at("example").textContent = `curl ${location.origin}/api/event -d '{"type":"pageview",`
        + `"site_id":"my-site","session_id":"s1","path":"/hello"}'`;
      show("empty");
    }
    setTimeout(start, EMPTY_POLL_MS);
    return;
  }
  const wanted = decodeURIComponent(location.hash.slice(1));
  const site = sites.includes(wanted) ? wanted : sites[0];
  offer(sites, site);
  show("now");
  watch(site);
  setInterval(refreshSites, SITES_EVERY_MS);
}

// A site that begins while the page is open can be picked, too.
async function refreshSites() {
  const answer = await fetch("/api/sites").catch(() => null);
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
  at("only-site").textContent = site;
  picker.onchange = () => {
    history.replaceState(null, "", `#${encodeURIComponent(picker.value)}`);
    watch(picker.value);
  };
}

start();
