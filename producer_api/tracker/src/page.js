import { create } from "./tracker.js";

/**
 * Track the site of the script's tag, and replace the global stub.
 * @param {any[]} plugins
 */
export const run = (plugins) => {
  const tag = /** @type {HTMLScriptElement} */ (
    // A module has no current script.
    document.currentScript || document.querySelector("script[data-site]")
  );
  const stub = /** @type {any} */ (window).headrace || 0;
  const sites = stub.sites || {};
  const make = (/** @type {any} */ options) =>
    (sites[options.site] =
      sites[options.site] ||
      create({ api: tag.src.replace(/\/[^/]*$/, ""), ...tag.dataset, ...options }, plugins));
  const tracker = make(tag.dataset);
  if (stub.sites) return;
  /** @type {any} */ (window).headrace = Object.assign(tracker, { create: make, sites });
  for (const call of stub.q || []) tracker(call[0], call[1], call[2], call.at);
};
