import { create } from "./tracker.js";

/**
 * Track the site of the script's tag, and replace the global stub.
 * @param {any[]} plugins
 */
export const run = (plugins) => {
  const page = /** @type {any} */ (window);
  const tag = /** @type {HTMLScriptElement} */ (document.currentScript);
  // A module, or code that was copied into another script.
  if (!tag) return;
  const stub = page.headrace || 0;
  const sites = stub.sites || {};
  const make = (/** @type {any} */ options) =>
    (sites[options.site] =
      sites[options.site] ||
      create({ api: tag.src.replace(/\/[^/]*$/, ""), ...tag.dataset, ...options }, plugins));
  const tracker = make(tag.dataset);
  if (stub.sites) return;
  page.headrace = Object.assign(tracker, { create: make, sites });
  for (const call of stub.q || []) tracker(call[0], call[1], call[2], call.at);
};
