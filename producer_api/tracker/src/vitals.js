/** Interactions whose worst latency counts: one of 50 is left out. */
const PER_OUTLIER = 50;
const WINDOW_GAP_MS = 1000;
const WINDOW_MS = 5000;

/**
 * Return a function that adds a layout shift, and returns the largest sum of a window so far.
 *
 * A window ends after a second without a shift, and after five seconds.
 */
export const createShifts = () => {
  let largest = 0;
  let sum = 0;
  let first = -Infinity;
  let last = -Infinity;
  return (/** @type {number} */ time, /** @type {number} */ value) => {
    if (time - last >= WINDOW_GAP_MS || time - first >= WINDOW_MS) {
      sum = 0;
      first = time;
    }
    last = time;
    sum += value;
    largest = Math.max(largest, sum);
    return largest;
  };
};

/**
 * Return the interaction to next paint: the longest duration, without the worst of each 50.
 * @param {number[]} durations By interaction.
 * @param {number} count Interactions, also those too short to be observed.
 */
export const interactionToNextPaint = (durations, count) => {
  const sorted = durations.sort((one, other) => other - one);
  return sorted[Math.min(sorted.length - 1, Math.floor(count / PER_OUTLIER))];
};

/**
 * Report the web vitals of the page once, when it is first hidden: their values are then final.
 *
 * Not for pages that are hidden from the start, nor for views after the first.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const vitals = ({ track }) => {
  /** @type {Record<string, number>} */
  const found = {};
  /** @type {Map<number, number>} */
  const interactions = new Map();
  const shift = createShifts();
  /** @type {(() => void)[]} */
  const flushes = [];
  const [navigation] = /** @type {any[]} */ (performance.getEntriesByType("navigation"));
  const start = (navigation && navigation.activationStart) || 0;
  let isStarted = false;
  let isDone = document.visibilityState === "hidden";

  /** @type {(type: string, take: (entry: any) => void, more?: object) => void} */
  const observe = (type, take, more) => {
    try {
      if (!PerformanceObserver.supportedEntryTypes.includes(type)) return;
      const each = (/** @type {PerformanceEntryList} */ entries) => entries.forEach(take);
      const observer = new PerformanceObserver((list) => each(list.getEntries()));
      observer.observe({ type, buffered: true, ...more });
      flushes.push(() => {
        each(observer.takeRecords());
        observer.disconnect();
      });
    } catch {
      // Not supported.
    }
  };
  const since = (/** @type {number} */ time) => Math.max(0, time - start);
  const interact = (/** @type {any} */ { interactionId, duration }) => {
    if (interactionId)
      interactions.set(interactionId, Math.max(duration, interactions.get(interactionId) || 0));
  };
  /** Observe from now on, and what the browser has recorded before. */
  const begin = () => {
    if (isStarted) return;
    isStarted = true;
    observe("paint", ({ name, startTime }) => {
      if (name === "first-contentful-paint") found.fcp = since(startTime);
    });
    observe("largest-contentful-paint", ({ startTime }) => (found.lcp = since(startTime)));
    if (PerformanceObserver.supportedEntryTypes.includes("layout-shift")) found.cls = 0;
    observe("layout-shift", ({ hadRecentInput, startTime, value }) => {
      if (!hadRecentInput) found.cls = shift(startTime, value);
    });
    observe("event", interact, { durationThreshold: 40 });
    observe("first-input", interact);
  };
  // Not part of the script's evaluation, so that no task is long.
  setTimeout(begin);

  /** The page's fields, which are not those of a later view. @type {import("./tracker.js").Fields} */
  let page = {};
  return (name, event) => {
    if (event && event.type === "pageview" && !page.url)
      page = { url: event.url, path: event.path };
    if (name !== "hide" || isDone) return;
    isDone = true;
    begin();
    flushes.forEach((flush) => flush());
    if (navigation && navigation.responseStart > 0) found.ttfb = since(navigation.responseStart);
    const count = /** @type {any} */ (performance).interactionCount || interactions.size;
    if (interactions.size) found.inp = interactionToNextPaint([...interactions.values()], count);
    for (const vital of Object.keys(found)) found[vital] = Math.round(found[vital] * 1e4) / 1e4;
    const navigation_type = start ? "prerender" : navigation && navigation.type;
    if (Object.keys(found).length)
      track("web_vitals", { ...page, vitals: found, properties: { navigation_type } });
  };
};
