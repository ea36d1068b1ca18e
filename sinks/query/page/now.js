// What happens now: visitors, the chart, pages, referrers, events.

import { arrange, at, brief, clock, make, many, number, set, tell } from "./dom.js";

const SHOWN_ROWS = 8;
const CHART = { width: 600, height: 160, least: 2 };
const SAY_EVERY_MS = 15000;

const EVENT_NAMES = {
  pageview: ["Page view", "Page views"], pageleave: ["Page leave", "Page leaves"],
  custom_event: ["Custom event", "Custom events"], web_vitals: ["Web vitals", "Web vitals"],
  external_link: ["External link", "External links"], error: ["Error", "Errors"],
  payment: ["Payment", "Payments"], identify: ["Identified", "Identified"],
  button_click: ["Button click", "Button clicks"], form_submit: ["Form sent", "Forms sent"],
  copy: ["Copy", "Copies"],
};

let saidAt = 0;

export function showLive(live) {
  const visitors = number(live.visitors_now);
  tell(at("visitors"), visitors);
  at("visitors").classList.toggle("long", visitors.length > "1,000".length);
  tell(at("sessions"), live.sessions_now ? many(live.sessions_now, "session", "sessions") : "No sessions");
  document.title = `${visitors} now · ${live.site_id}`;
  chart(live.per_minute);
  bars("pages", live.pages.map((page) => [page.path, page.sessions]), "Nobody is on a page");
  bars("referrers", live.referrers.map((from) => [from.host, from.sessions]),
    "Nobody came from another site");
  const events = Object.entries(live.events_last_minute)
    .map(([type, count]) => [EVENT_NAMES[type]?.[1] ?? type, count])
    .sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
  bars("events", events, "None in the last minute");
  showLatest(live.latest);
  if (Date.now() - saidAt > SAY_EVERY_MS) {
    saidAt = Date.now();
    at("said").textContent = many(live.visitors_now, "visitor now", "visitors now");
  }
}

function chart(minutes) {
  const most = Math.max(...minutes);
  const top = niceTop(most);
  const total = minutes.reduce((sum, count) => sum + count, 0);
  const told = total ? `${number(total)} in 30 minutes, at most ${number(most)}` : "None in 30 minutes";
  tell(at("chart-top"), brief(top));
  tell(at("chart-half"), brief(top / 2));
  tell(at("minute-told"), told);
  tell(at("chart-title"), `Events a minute: ${told}; ${number(minutes.at(-1))} in this one`);
  const rects = at("minutes").children;
  minutes.forEach((count, index) => {
    const rect = rects[index] ?? at("minutes").appendChild(newMinute(index, minutes.length));
    const height = count && Math.max(CHART.least, (count / top) * CHART.height);
    set(rect, { y: CHART.height - height, height });
    const ago = minutes.length - 1 - index;
    tell(rect.firstChild, `${many(count, "event", "events")}, ${ago ? `${ago} min ago` : "this minute"}`);
  });
}

function newMinute(index, minutes) {
  const step = CHART.width / minutes;
  const kind = index === minutes - 1 ? "minute going-on" : "minute";
  return make("rect", { class: kind, x: (index + 0.14) * step, width: step * 0.72 }, make("title"));
}

// The top of the scale, so that half of it is a round number, too.
function niceTop(most) {
  if (most <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].map((part) => part * power).find((top) => top >= most);
}

function bars(id, rows, none) {
  const list = at(id);
  const most = Math.max(...rows.map(([, count]) => count));
  const items = rows.slice(0, SHOWN_ROWS).map(([name, count], index) => {
    const old = list.children[index];
    const item = old?.querySelector("rect") ? old : newBar();
    set(item.querySelector("rect"), { width: `${(100 * count) / most}%` });
    tell(item.querySelector(".name"), name);
    set(item.querySelector(".name"), { title: name });
    tell(item.querySelector(".count"), number(count));
    return item;
  });
  arrange(list, items, none);
}

function newBar() {
  return make("li", {},
    make("svg", { "aria-hidden": "true", preserveAspectRatio: "none" },
      make("rect", { height: "100%", width: "0", rx: "6" })),
    make("span", { class: "name" }), make("span", { class: "count" }));
}

// By what they say: the same event stands in each message until ten others have come.
let latest = new Map();

function showLatest(events) {
  const before = latest;
  latest = new Map();
  for (const event of events) {
    const said = [event.at, event.type, event.detail].join("\n");
    let [key, again] = [said, 1];
    while (latest.has(key)) key = `${said}\n${(again += 1)}`;
    latest.set(key, before.get(key) ?? newEvent(event, before.size > 0));
  }
  arrange(at("latest"), [...latest.values()], "None in the last half hour");
}

export function forgetLatest() {
  latest = new Map();
}

function newEvent(event, fresh) {
  const name = EVENT_NAMES[event.type]?.[0] ?? event.type;
  return make("li", fresh ? { class: "fresh" } : {},
    make("time", { datetime: event.at }, clock(new Date(event.at), true)),
    make("span", { class: "type", "data-type": event.type }, name),
    make("span", { class: "name", title: event.detail }, event.detail));
}
