import { words } from "./tracker.js";

/**
 * Report pages that were not found.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const missingPages = ({ track }) => {
  let isNew = true;
  return (name) => {
    if (name !== "view" || !isNew) return;
    isNew = false;
    const [navigation] = /** @type {any[]} */ (performance.getEntriesByType("navigation"));
    const isMissing = navigation && navigation.responseStatus === 404;
    if (isMissing || document.querySelector('meta[name=headrace][content="404"]'))
      track("custom_event", { event_name: "404", properties: { path: location.pathname } });
  };
};

/**
 * Mask the values of the query parameters that the option `mask` lists.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const masks = ({ options }) => {
  const names = words(options.mask);
  const mask = (/** @type {string | undefined} */ url) =>
    url &&
    url.replace(/([?&]([^=&]+)=)[^&#]+/g, (pair, start, name) =>
      names.includes(name) ? `${start}***` : pair,
    );
  return (name, event) => {
    if (name !== "event" || !event || !names.length) return;
    event.url = mask(event.url);
    event.path = mask(event.path);
    event.referrer = mask(event.referrer);
    const { properties } = event;
    if (properties && properties.href)
      event.properties = { ...properties, href: mask(properties.href) };
  };
};
