import { create as track } from "./tracker.js";

export { full } from "./full.js";

/**
 * Track a site on this page. On a server that renders pages, nothing is tracked.
 * @type {typeof track}
 */
export const create = (options, plugins) =>
  typeof document === "undefined" ? () => {} : track(options, plugins);
