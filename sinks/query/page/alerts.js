// A site's alerts, the newest first.

import { arrange, at, clock, make } from "./dom.js";

export const SHOWN_ALERTS = 12;

const RULE_NAMES = { payment: "Payment", "error.new": "New error", "error.rate": "Error burst" };

// By number: the list and the stream may tell the same one.
let shown = new Map();

export function forgetAlerts() {
  shown = new Map();
}

export function addAlerts(alerts, fresh) {
  const all = new Map(shown);
  for (const alert of alerts) if (!all.has(alert.seq)) all.set(alert.seq, newAlert(alert, fresh));
  shown = new Map([...all].sort(([one], [other]) => other - one).slice(0, SHOWN_ALERTS));
  arrange(at("alerts"), [...shown.values()], "None so far: payments and errors are shown here");
  if (fresh) at("said").textContent = `Alert: ${alerts[0].title}`;
}

function newAlert(alert, fresh) {
  const raised = new Date(alert.raised_at);
  const kind = alert.rule.startsWith("error") ? "error" : "money";
  const today = raised.toDateString() === new Date().toDateString();
  const told = today ? clock(raised) : raised.toLocaleDateString([], { day: "numeric", month: "short" });
  return make("li", fresh ? { class: "fresh" } : {},
    make("span", { class: "rule", "data-kind": kind }, RULE_NAMES[alert.rule] ?? alert.rule),
    make("span", { class: "title" }, alert.title),
    make("time", { datetime: alert.raised_at, title: raised.toLocaleString() }, told));
}
