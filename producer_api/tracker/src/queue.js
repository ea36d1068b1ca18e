import { read, write } from "./storage.js";

/** @typedef {Record<string, any>} Event */
/** @typedef {Map<string, Event>} Events Events by id, the oldest first. */

const MAX_STORED_EVENTS = 100;
const MAX_STORED = 128 * 1024;
const MAX_AGE_MS = 24 * 3600e3;
/** In memory, while the page is open. */
const MAX_EVENTS = 1000;
/** Requests that outlive their page share 64 KiB. */
const MAX_BODY = 60 * 1024;
const MAX_BATCH = 100;
const TIMEOUT_MS = 15e3;
/** Timers overflow after 24 days. */
const MAX_WAIT_S = 3600;
const SLOW_MS = 3e3;
/** Events of this long go into one request. */
const GATHER_MS = 100;

/**
 * Return the first events that fit into one request, without those that fit into none.
 * @param {Event[]} events
 */
export const nextBatch = (events) => {
  let size = 0;
  return events.slice(0, MAX_BATCH).filter((event) => {
    // UTF-8 has at most three bytes per UTF-16 unit; 40 are for the time of sending.
    const next = size + JSON.stringify(event).replace(/[^ -~]/g, "...").length + 40;
    return next < MAX_BODY && (size = next);
  });
};

/**
 * Return the events to store, by id: at most a day old, the latest that fit.
 * @param {[string, Event][]} entries
 */
export const storable = (entries, now = Date.now()) => {
  const kept = entries
    .filter(([_, { timestamp }]) => now - Date.parse(timestamp) < MAX_AGE_MS)
    .slice(-MAX_STORED_EVENTS);
  while (JSON.stringify(kept).length > MAX_STORED) kept.shift();
  return kept;
};

/**
 * Return true if an event should be sent again.
 * @param {number} status That of the response; 0 if there was none.
 * @param {any} [result] That of the event, if the response has one.
 */
export const isRetriable = (status, result) =>
  /^(0|408|429|5..)$|failed|rate_limited/.test(`${result ? result.status + result.code : status}`);

/**
 * Return a queue that sends events, again after a failure, and on the next page if necessary.
 * @param {string} api The base of the API's paths.
 * @param {string} key The key in localStorage.
 * @param {(...words: unknown[]) => void} log
 */
export const createQueue = (api, key, log) => {
  /** What has no final response yet. @type {Events} */
  const events = new Map();
  /** @type {Set<Event>} */
  const inFlight = new Set();
  /** Seconds between attempts. */
  let wait = 1;
  let retryAt = 0;
  let sentAt = 0;
  /** @type {any} */
  let timer = 0;
  let isLeaving = false;
  let isOpen = false;
  let release = () => {};

  /** @returns {Events} */
  const stored = () => {
    try {
      return new Map(storable(read("localStorage", key)));
    } catch {
      return new Map(); // there is nothing, or it is damaged
    }
  };
  const store = (/** @type {Events} */ all) => write("localStorage", key, storable([...all]));
  const schedule = () => {
    timer = timer || setTimeout(send, Math.max(GATHER_MS, retryAt - Date.now()));
  };

  const send = () => {
    const now = Date.now();
    timer = 0;
    if (isLeaving && events.size) store(new Map([...stored(), ...events]));
    if (now < retryAt) return schedule();
    // At the end of a page, a request does not wait for the one before, unless the host is slow.
    if (inFlight.size && (!isLeaving || now > sentAt + SLOW_MS)) return;
    const batch = nextBatch([...events.values()].filter((event) => !inFlight.has(event)));
    if (!batch.length) return release();
    sentAt = now;
    batch.forEach((event) => inFlight.add(event));
    post(batch);
  };

  const post = async (/** @type {Event[]} */ batch) => {
    const sent_at = new Date();
    const sent = batch.map((event) => ({ ...event, sent_at }));
    const isOne = sent.length < 2;
    const url = `${api}/api/event${isOne ? "" : "s"}`;
    const body = JSON.stringify(isOne ? sent[0] : sent);
    let status = 0;
    let seconds = 0;
    /** @type {{results?: any[]}} */
    let answer = {};
    try {
      if (isLeaving && !("keepalive" in Request.prototype)) {
        navigator.sendBeacon(url, body);
        // There is no response: the next page sends them again.
        seconds = MAX_WAIT_S;
      } else {
        // Without a content type, a string is text/plain, which needs no preflight.
        const response = await fetch(url, {
          method: "POST",
          body,
          keepalive: true,
          credentials: "omit",
          // A host that never responds would keep the connections that the page needs.
          signal: AbortSignal.timeout && AbortSignal.timeout(TIMEOUT_MS),
        });
        status = response.status;
        seconds = +(/** @type {any} */ (response.headers.get("retry-after")));
        answer = (await response.json()) || {};
      }
    } catch {
      // No response, or one of something between here and the server.
    }
    // Rejected events are not sent again: the console shows why, as it shows failed requests.
    (status > 202 ? console.warn : log)("headrace", status, answer, sent);
    const all = stored();
    const { results = [] } = answer;
    let hasFailed = false;
    batch.forEach((event, index) => {
      const id = event.event_id;
      inFlight.delete(event);
      // It can have been forgotten.
      if (events.has(id) && isRetriable(status, results[index])) {
        all.set(id, event);
        hasFailed = true;
      } else {
        all.delete(id);
        events.delete(id);
      }
    });
    store(all);
    wait = hasFailed ? Math.min(60, wait * 2) : 1;
    if (hasFailed)
      retryAt = Date.now() + 1e3 * Math.min(seconds || wait * (0.5 + Math.random()), MAX_WAIT_S);
    schedule();
  };

  /** Send what earlier pages left behind. */
  const take = () => {
    stored().forEach((event, id) => events.set(id, event));
    schedule();
    return new Promise((resolve) => (release = /** @type {() => void} */ (resolve)));
  };

  return {
    events,

    /** @param {Event} event */
    add(event) {
      // Not before: nothing is sent for visitors who opted out.
      if (!isOpen && stored().size) {
        // One tab at a time.
        if (navigator.locks)
          navigator.locks.request(key, { ifAvailable: true }, (lock) => lock && take());
        else take();
      }
      isOpen = true;
      if (events.size < MAX_EVENTS && nextBatch([event]).length) events.set(event.event_id, event);
      if (isLeaving) send();
      else schedule();
    },

    /**
     * Send at the end of a page, and keep for the next page what has no response; or continue.
     * @param {boolean} isEnd
     */
    leave(isEnd) {
      isLeaving = isEnd;
      schedule();
      if (isEnd) {
        send();
        release();
      }
    },
  };
};
