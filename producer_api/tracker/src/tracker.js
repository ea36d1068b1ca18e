import { createClock } from "./engagement.js";
import { uuid7 } from "./ids.js";
import { interactions } from "./interactions.js";
import { createQueue } from "./queue.js";
import { createSession } from "./session.js";
import { read } from "./storage.js";
import { cleanUrl } from "./urls.js";

/**
 * @typedef {Record<string, any>} Fields
 * @typedef {object} Context What a plugin gets.
 * @property {(type: string, fields: Fields, at?: number) => any} track
 * @property {(target: EventTarget, type: string, listener: (event: any, now: number) => void) => void} listen
 * Calls the listener with an event and its `timeStamp`.
 * @property {Fields} options
 * @property {string[]} off Types and names of events that are not sent.
 * @property {() => void} forget Forgets the events that were not sent.
 * @property {(name: string) => string} key Returns a key of the site in storage.
 * @property {Record<string, (first: any, second: any, at: number) => void>} commands
 *
 * @typedef {(name: "event" | "view" | "leave" | "hide", event?: Fields) => void} Plugin
 * Called with each event before it is sent, when a page view has begun, when it is left or hidden,
 * and, before that, when the page is hidden.
 */

const TITLE_MS = 90;

/** @param {unknown} value */
export const words = (value) => (value ? `${value}`.split(/[\s,]+/) : []);
/** An attribute without a value is "". @param {unknown} value */
export const isSet = (value) => /^(true)?$/.test(`${value}`);
/**
 * Return properties that were given as such, or as a member next to others.
 * @param {any} [given]
 */
export const flat = (given) => {
  const { properties, ...rest } = given || {};
  return { ...rest, ...properties };
};

/**
 * JSON has no BigInt, and the server rejects lone surrogates.
 * @param {string} _
 * @param {any} value
 */
const toJson = (_, value) =>
  typeof value === "bigint"
    ? `${value}`
    : (value && value.toWellFormed && value.toWellFormed()) || value;

/**
 * Track a site on this page. `script.js`, which has no plugins, is built without what is labelled
 * `PLUGINS`.
 * @param {Fields} given
 * @param {((context: Context) => Plugin)[]} [plugins]
 */
export const create = (given, plugins = []) => {
  const off = words(given.off);
  const hasHash = isSet(given.hash);
  const isManual = isSet(given.manual);
  const key = (/** @type {string} */ name) => `headrace.${given.site}.${name}`;
  const log = isSet(given.debug) ? console.log : () => {};
  const safely = (/** @type {() => void} */ action) => {
    try {
      action();
    } catch (error) {
      log(error);
    }
  };
  /** @type {Context["listen"]} */
  const listen = (target, type, listener) =>
    // Captured, so that the page cannot stop it.
    target.addEventListener(type, (event) => safely(() => listener(event, event.timeStamp)), true);
  const page = /** @type {any} */ (document);

  /** The page view; falsy before the page is shown. @type {any} */
  let view;
  /** The view until it is sent. @type {any} */
  let pending;
  /** The URL of the view. */
  let url = "";
  let clock = createClock();
  /** Milliseconds that were reported; -1: even a leave that took no time is to be reported. */
  let reported = -1;
  let depth = 0;
  let isShown = false;
  /** The time since when it is visible. */
  let shownAt = 0;
  /** Calls before the first view. @type {(() => void)[] | 0} */
  let held = [];
  /** @type {Plugin[]} */
  let handlers = [];

  /** @type {Plugin} */
  const emit = (name, event) => handlers.forEach((handler) => handler(name, event));
  const address = () => cleanUrl(location.href, hasHash);
  const session = createSession(given.storage || "localStorage", key("session"));
  const queue = createQueue(given.api.replace(/\/$/, ""), key("queue"), log);

  /** @type {(type: string, fields: Fields, at?: number, user?: string) => any} */
  const track = (type, fields, at = Date.now(), user) => {
    if (
      read("localStorage", "headrace_ignore") ||
      off.includes(type) ||
      off.includes(fields.event_name)
    )
      return log("not sent", type);
    const { id, user_id } = session(at, user);
    const here = url || address();
    const event = {
      type,
      site_id: given.site,
      session_id: id,
      user_id: user_id || undefined,
      event_id: uuid7(at),
      timestamp: new Date(at),
      url: here,
      path: hasHash ? here.replace(/^.*?:\/\/[^/]*|\?[^#]*/g, "") : undefined,
      ...fields,
    };
    PLUGINS: emit("event", event);
    const sent = JSON.parse(JSON.stringify(event, toJson));
    if (type !== "pageview") queue.add(sent);
    return sent;
  };

  /**
   * Send the view a moment after it began, or at its end. Many applications set the title after the
   * URL, and to read sizes before would make the browser compute the layout twice.
   */
  const finish = (/** @type {any} */ begun) => {
    if (!begun || begun !== pending) return;
    begun.screen = {
      width: screen.width,
      height: screen.height,
      viewport_width: innerWidth,
      viewport_height: innerHeight,
    };
    begun.title ||= page.title;
    queue.add(begun);
    pending = 0;
  };
  const leave = (/** @type {number} */ now) => {
    finish(pending);
    PLUGINS: emit("leave");
    const total = clock(now, isShown);
    depth = Math.max(depth, scrollY);
    const scroll = Math.round((100 * (depth + innerHeight)) / page.documentElement.scrollHeight);
    if (total > reported)
      track("pageleave", {
        duration: total - Math.max(0, reported),
        properties: { scroll: Math.min(100, scroll) },
      });
    reported = total;
  };
  /** Begin a page view; the time is that since when it is visible. */
  const enter = (/** @type {any} */ fields, now = performance.now()) => {
    const referrer = cleanUrl(view ? url : page.referrer) || undefined;
    if (view) leave(now);
    url = address();
    clock = createClock();
    clock(now, isShown);
    reported = -1;
    depth = 0;
    view = pending = track("pageview", {
      referrer,
      properties: navigator.webdriver ? { automation: true } : undefined,
      ...fields,
    });
    setTimeout(finish, TITLE_MS, view);
    PLUGINS: emit("view");
  };
  const follow = (/** @type {number | undefined} */ now = undefined) => {
    if (view && !isManual && address() !== url) enter({}, now);
  };

  /** Note that the page is shown or hidden. */
  const toggle = (/** @type {boolean} */ shows, /** @type {number} */ now) => {
    start();
    isShown = shows;
    shownAt = now;
    if (!shows) {
      PLUGINS: emit("hide");
      if (view) leave(now);
    }
    queue.leave(!shows);
    if (shows && !view && !isManual) enter({}, now);
    clock(now, shows);
  };

  /** @type {Record<string, any>} */
  const commands = {
    __proto__: null,
    pageview: (/** @type {any} */ fields) => enter(fields),
    identify(/** @type {any} */ id, /** @type {any} */ traits, /** @type {number} */ at) {
      const { user_id, ...properties } = flat(id.user_id ? id : { ...flat(traits), user_id: id });
      track("identify", { properties }, at, `${user_id}`);
    },
    payment(/** @type {any} */ fields, /** @type {any} */ _, /** @type {number} */ at) {
      const { amount, currency, provider, ...properties } = flat(fields);
      track("payment", { amount, currency, provider, properties }, at);
    },
    reset: () => session(Date.now(), null),
  };

  const call = (
    /** @type {string} */ name,
    /** @type {any} */ first,
    /** @type {any} */ second,
    at = Date.now(),
  ) => {
    const act = () =>
      safely(() =>
        commands[name]
          ? commands[name](first, second, at)
          : track("custom_event", { event_name: name, properties: flat(first) }, at),
      );
    if (held) held.push(act);
    else act();
  };

  /**
   * Begin the first view, unless the page is hidden, and make the calls that were held. This is not
   * part of the script's evaluation, so that no task is long; but it is done before the page
   * changes, or another event.
   */
  const start = () => {
    const calls = held;
    if (!calls) return;
    held = 0;
    const navigation = /** @type {any} */ (performance.getEntriesByType("navigation")[0] || 0);
    if (isShown) toggle(true, navigation.activationStart || 0);
    calls.forEach((call) => call());
  };

  const activate = () => {
    isShown = !page.hidden;
    PLUGINS: {
      const forget = () => ((pending = 0), queue.events.clear());
      const context = { track, listen, key, commands, off, options: given, forget };
      handlers = plugins.map((plugin) => plugin(context));
    }
    // The time of an event, not that of its listeners: the page can be busy.
    listen(page, "visibilitychange", (_, now) => toggle(!page.hidden, now));
    listen(window, "pagehide", (_, now) => toggle(false, now));
    listen(window, "pageshow", ({ persisted }, now) => {
      if (!persisted) return;
      view = 0;
      toggle(true, isShown ? shownAt : now);
    });
    listen(window, "popstate", (_, now) => follow(now));
    for (const type of ["pushState", "replaceState"]) {
      const original = /** @type {any} */ (history)[type];
      /** @type {any} */ (history)[type] = function () {
        safely(start);
        const result = original.apply(this, arguments);
        safely(follow);
        return result;
      };
    }
    for (const type of ["scroll", "keydown", "pointerdown"])
      listen(window, type, (_, now) => {
        depth = Math.max(depth, scrollY);
        clock(now, isShown, true);
      });
    interactions(track, listen, words(given.domains));
    setTimeout(() => safely(start));
  };

  if (page.prerendering) listen(page, "prerenderingchange", activate);
  else safely(activate);
  return call;
};
