// The alerts of a site, newest first.

import { byId, clock, create, updateList } from "./dom.js";

export const SHOWN_ALERTS = 12;

const RULE_NAMES = { payment: "Payment", "error.new": "New error", "error.rate": "Error burst" };

// Elements by seq, because the list and the stream may contain the same alert.
let shown = new Map();

export function clearAlerts() {
  shown = new Map();
}

export function addAlerts(alerts, fresh) {
  const all = new Map(shown);
  for (const alert of alerts) if (!all.has(alert.seq)) all.set(alert.seq, newAlert(alert, fresh));
  shown = new Map([...all].sort(([a], [b]) => b - a).slice(0, SHOWN_ALERTS));
  updateList(byId("alerts"), [...shown.values()], "No alerts yet: payments and errors appear here");
  if (fresh) byId("announcement").textContent = `Alert: ${alerts[0].title}`;
}

function newAlert(alert, fresh) {
  const raised = new Date(alert.raised_at);
  const kind = alert.rule.startsWith("error") ? "error" : "money";
  const today = raised.toDateString() === new Date().toDateString();
  const time = today ? clock(raised) : raised.toLocaleDateString([], { day: "numeric", month: "short" });
  return create("li", fresh ? { class: "fresh" } : {},
    create("span", { class: "rule", "data-kind": kind }, RULE_NAMES[alert.rule] ?? alert.rule),
    create("span", { class: "title" }, alert.title),
    create("time", { datetime: alert.raised_at, title: raised.toLocaleString() }, time));
}
