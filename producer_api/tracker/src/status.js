import { read } from "./storage.js";

/**
 * Write to the console what the tracker does, and why it sends nothing: `headrace("status")`.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const status = ({ options, off, key, commands }) => {
  commands.status = () =>
    console.log("headrace", {
      ...options,
      off,
      session: read(options.storage || "localStorage", key("session")),
      waiting: read("localStorage", key("queue")) || [],
      headrace_ignore: read("localStorage", "headrace_ignore"),
      globalPrivacyControl: /** @type {any} */ (navigator).globalPrivacyControl,
      doNotTrack: navigator.doNotTrack,
    });
  return () => {};
};
