import { uuid7 } from "./ids.js";
import { read, write } from "./storage.js";
import { isSet } from "./tracker.js";

const VISITOR_MS = 395 * 24 * 3600e3;
const TYPES =
  "pageview pageleave custom_event web_vitals external_link error payment identify button_click form_submit copy";

/** @param {string} key Of both storages, either of which can be disabled. */
const remove = (key) => {
  try {
    localStorage.removeItem(key);
    sessionStorage.removeItem(key);
  } catch {
    // There is nothing.
  }
};

/** Return whether Global Privacy Control or Do Not Track is set. */
const hasSignal = () =>
  !!(/** @type {any} */ (navigator).globalPrivacyControl) || navigator.doNotTrack === "1";

/**
 * Send and store nothing until the site calls `headrace("consent", true)`, if the option `consent`
 * is "required"; nothing more after `headrace("consent", false)`; and nothing at all for visitors
 * with GPC or DNT, with the option `optOut`.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const consent = ({ options, off, key, commands, forget }) => {
  const chosen = [...off];
  const types = TYPES.split(" ");
  const isDenied = isSet(options.optOut) && hasSignal();
  let isGranted = options.consent !== "required";
  if (!isGranted || isDenied) off.push(...types);
  commands.consent = (granted) => {
    if (isDenied || isGranted === !!granted) return;
    isGranted = !!granted;
    if (isGranted) {
      // Nothing of the time before is reported.
      off.splice(0, Infinity, ...chosen, "pageleave");
      if (!isSet(options.manual)) commands.pageview({}, undefined, 0);
      off.splice(0, Infinity, ...chosen);
    } else {
      off.push(...types);
      forget();
      for (const name of ["session", "queue", "campaign", "payments", "visitor"]) remove(key(name));
    }
  };
  return () => {};
};

/**
 * Add an id of the browser that lasts 13 months to events, if the option `visitor` is set, but not
 * with GPC or DNT.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const visitor = ({ options, key }) => {
  /** @type {any} */
  let known;
  return (name, event) => {
    if (name !== "event" || !event || !isSet(options.visitor) || hasSignal()) return;
    known = read("localStorage", key("visitor")) || known;
    if (!known || !(Date.now() - known.at < VISITOR_MS)) {
      known = { id: uuid7(Date.now()), at: Date.now() };
      write("localStorage", key("visitor"), known);
    }
    event.visitor_id = known.id;
  };
};
