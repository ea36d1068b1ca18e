import { uuid7 } from "./ids.js";
import { read, write } from "./storage.js";

const VISITOR_MS = 395 * 24 * 3600e3;
const TYPES =
  "pageview pageleave custom_event web_vitals external_link error payment identify button_click form_submit copy";

/** @param {string} key Of both storages, either of which can be disabled. */
const forget = (key) => {
  try {
    localStorage.removeItem(key);
    sessionStorage.removeItem(key);
  } catch {
    // There is nothing.
  }
};

/**
 * Send and store nothing until the site calls `headrace("consent", true)`, if the option `consent`
 * is "required"; and nothing more after `headrace("consent", false)`.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const consent = ({ options, off, key, commands }) => {
  const chosen = [...off];
  const types = TYPES.split(" ");
  let isGranted = options.consent !== "required";
  if (!isGranted) off.push(...types);
  commands.consent = (granted) => {
    if (isGranted === !!granted) return;
    isGranted = !!granted;
    if (isGranted) {
      // Nothing of the time before is reported.
      off.splice(0, Infinity, ...chosen, "pageleave");
      commands.pageview({}, undefined, 0);
      off.splice(0, Infinity, ...chosen);
    } else {
      off.push(...types);
      for (const name of ["session", "queue", "campaign", "payments", "visitor"]) forget(key(name));
    }
  };
  return () => {};
};

/**
 * Add an id of the browser that lasts 13 months to events, if the option `visitor` is set.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const visitor = ({ options, key }) => {
  /** @type {any} */
  let known;
  return (name, event) => {
    if (name !== "event" || !event || options.visitor === undefined) return;
    known = read("localStorage", key("visitor")) || known;
    if (!known || Date.now() - known.at > VISITOR_MS) {
      known = { id: uuid7(Date.now()), at: Date.now() };
      write("localStorage", key("visitor"), known);
    }
    event.visitor_id = known.id;
  };
};
