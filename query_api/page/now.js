// Live counters: visitors, the chart, and bars of pages, referrers, events, sources, countries and devices.

import { byId, clock, compact, create, number, plural, setAttributes, setText, updateList } from "./dom.js";

const SHOWN_ROWS = 8;
const FEW_ROWS = 5;
const CHART = { width: 600, height: 160, minBar: 2 };
const ANNOUNCE_EVERY_MS = 15000;

const EVENT_NAMES = {
  pageview: ["Page view", "Page views"], pageleave: ["Page leave", "Page leaves"],
  custom_event: ["Custom event", "Custom events"], web_vitals: ["Web vitals", "Web vitals"],
  external_link: ["External link", "External links"], error: ["Error", "Errors"],
  payment: ["Payment", "Payments"], identify: ["Identified", "Identified"],
  button_click: ["Button click", "Button clicks"], form_submit: ["Form sent", "Forms sent"],
  copy: ["Copy", "Copies"],
};

const countryNames = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });

let announcedAt = 0;

export function showLive(live) {
  const visitors = number(live.visitors_now);
  setText(byId("visitors"), visitors);
  byId("visitors").classList.toggle("long", visitors.length > "1,000".length);
  setText(byId("sessions"), live.sessions_now ? plural(live.sessions_now, "session", "sessions") : "No sessions");
  document.title = `${visitors} now · ${live.site_id}`;
  chart(live.per_minute);
  bars("pages", live.pages.map((page) => [page.path, page.sessions]), "No active sessions");
  bars("referrers", live.referrers.map((from) => [from.host, from.sessions]),
    "No referrers");
  bars("sources", live.sources.map((from) => [from.source, from.sessions]), "No sources", FEW_ROWS);
  bars("countries", live.countries.map((from) => [countryName(from.country), from.sessions]),
    "No known countries", FEW_ROWS);
  bars("devices", live.devices.map(({ device, sessions }) => [capitalized(device), sessions]),
    "No known devices", FEW_ROWS);
  const events = Object.entries(live.events_last_minute)
    .map(([type, count]) => [EVENT_NAMES[type]?.[1] ?? type, count])
    .sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  bars("events", events, "No events in the last minute");
  showLatest(live.latest);
  if (Date.now() - announcedAt > ANNOUNCE_EVERY_MS) {
    announcedAt = Date.now();
    byId("announcement").textContent = plural(live.visitors_now, "visitor now", "visitors now");
  }
}

function chart(minutes) {
  const peak = Math.max(...minutes);
  const top = scaleTop(peak);
  const total = minutes.reduce((sum, count) => sum + count, 0);
  const summary = total
    ? `${plural(total, "event", "events")} in the last 30 min · peak ${number(peak)}/min`
    : "No events in the last 30 min";
  setText(byId("chart-top"), compact(top));
  setText(byId("chart-half"), compact(top / 2));
  setText(byId("chart-summary"), summary);
  setText(byId("chart-title"), `Events per minute: ${summary}; ${number(minutes.at(-1))} in the current minute`);
  const rects = byId("minutes").children;
  minutes.forEach((count, index) => {
    const rect = rects[index] ?? byId("minutes").appendChild(newMinute(index, minutes.length));
    const height = count && Math.max(CHART.minBar, (count / top) * CHART.height);
    setAttributes(rect, { y: CHART.height - height, height });
    const ago = minutes.length - 1 - index;
    setText(rect.firstChild, `${plural(count, "event", "events")}, ${ago ? `${ago} min ago` : "this minute"}`);
  });
}

function newMinute(index, minutes) {
  const step = CHART.width / minutes;
  const classes = index === minutes - 1 ? "minute current" : "minute";
  return create("rect", { class: classes, x: (index + 0.14) * step, width: step * 0.72 }, create("title"));
}

// Returns the top of the scale: a round number whose half is also round.
function scaleTop(peak) {
  if (peak <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(peak));
  return [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10].map((part) => part * power).find((top) => top >= peak);
}

function countryName(code) {
  // `of` throws for text that is no code.
  return /^[A-Z]{2}$/.test(code) ? countryNames.of(code) : code;
}

function capitalized(device) {
  return device === "tv" ? "TV" : device.charAt(0).toUpperCase() + device.slice(1);
}

function bars(id, rows, none, shown = SHOWN_ROWS) {
  const list = byId(id);
  const maximum = Math.max(...rows.map(([, count]) => count));
  const items = rows.slice(0, shown).map(([name, count], index) => {
    const old = list.children[index];
    const item = old?.querySelector("rect") ? old : newBar();
    setAttributes(item.querySelector("rect"), { width: `${(100 * count) / maximum}%` });
    setText(item.querySelector(".name"), name);
    setAttributes(item.querySelector(".name"), { title: name });
    setText(item.querySelector(".count"), number(count));
    return item;
  });
  updateList(list, items, none);
}

function newBar() {
  return create("li", {},
    create("svg", { "aria-hidden": "true", preserveAspectRatio: "none" },
      create("rect", { height: "100%", width: "0", rx: "6" })),
    create("span", { class: "name" }), create("span", { class: "count" }));
}

// Elements by content, because each message repeats an event until ten newer ones have arrived.
let latest = new Map();

function showLatest(events) {
  const previous = latest;
  latest = new Map();
  for (const event of events) {
    const content = [event.at, event.type, event.detail].join("\n");
    let [key, count] = [content, 1];
    while (latest.has(key)) key = `${content}\n${(count += 1)}`;
    latest.set(key, previous.get(key) ?? newEvent(event, previous.size > 0));
  }
  updateList(byId("latest"), [...latest.values()], "No events in the last 30 minutes");
}

export function clearLatest() {
  latest = new Map();
}

const eventName = (type) => EVENT_NAMES[type]?.[0] ?? type;

export const describeEvent = (event) => `${eventName(event.type)} ${event.detail}`.trim();

function newEvent(event, fresh) {
  const name = eventName(event.type);
  return create("li", fresh ? { class: "fresh" } : {},
    create("time", { datetime: event.at }, clock(new Date(event.at), true)),
    create("span", { class: "type", "data-type": event.type }, name),
    create("span", { class: "name", title: event.detail }, event.detail));
}
