// The site's own script: reports what happens to the page, and handles its buttons.

const page = `${performance.timeOrigin}-${Math.random()}`;
const navigation = performance.getEntriesByType("navigation")[0];

function report(kind, details = {}) {
  const state = {
    page, kind, at: performance.now(), wall: Date.now(), path: decodeURI(location.pathname), hash: location.hash,
    visible: document.visibilityState === "visible", prerendering: Boolean(document.prerendering),
    activationStart: navigation.activationStart ?? 0, widths: [screen.width, innerWidth],
  };
  navigator.sendBeacon("/life", JSON.stringify({ ...state, ...details }));
}

// Calls before the tracker has loaded are queued.
window.headrace = window.headrace || function () { (window.headrace.q = window.headrace.q || []).push(arguments); };

report("start");
for (const type of ["pageshow", "pagehide"]) {
  addEventListener(type, (event) => report(type, { persisted: event.persisted, at: event.timeStamp }));
}
for (const type of ["visibilitychange", "prerenderingchange"]) {
  document.addEventListener(type, (event) => report(type, { at: event.timeStamp }));
}
document.addEventListener("securitypolicyviolation", (event) => report("violation", { blocked: event.blockedURI }));
addEventListener("load", () => report("load"));
addEventListener("popstate", (event) => report("route", { at: event.timeStamp }));

// Both pages of the test of prerendering.
if (location.pathname === "/before") fetch("/next").then(() => location.assign("/prerendered"));
if (document.prerendering) addEventListener("load", () => setTimeout(() => report("later"), 500));

// Reports the path before it changes, because the tracker's work is part of the change.
function route(change, url) {
  report("route", { path: new URL(url, location).pathname });
  change.call(history, {}, "", url);
}

const ODD = {
  nothing: null, nested: { a: { b: [1, 2, { c: "d" }] } }, big: 12345678901234567890n.toString(),
  long: "x".repeat(600), family: "👨‍👩‍👧‍👦", quotes: `"<b>'`, yes: true, empty: "", number: 1.5,
};

const ACTIONS = {
  signup: () => headrace("signup", { properties: { plan: "pro" } }),
  identify: () => headrace("identify", "u-42", { plan: "pro" }),
  settings: () => route(history.pushState, "/app/settings?tab=profile"),
  user: () => route(history.pushState, "/app/users/7"),
  step: () => route(history.replaceState, "/?step=2&utm_source=inner"),
  back: () => history.back(),
  throw: () => { throw new TypeError("The cart is broken"); },
  reject: () => { Promise.reject(new RangeError("No such coupon")); },
  "throw-string": () => { throw "Nur ein Text"; }, // eslint-disable-line no-throw-literal
  "reject-undefined": () => { Promise.reject(); },
  burst: () => { for (let n = 0; n < 12; n += 1) headrace("step", { properties: { n } }); },
  odd: () => headrace("odd", { properties: ODD }),
};

document.addEventListener("click", (event) => ACTIONS[event.target.id]?.());
