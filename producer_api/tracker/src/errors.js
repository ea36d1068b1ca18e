const MAX_STACK = 2048;
/** Reports of the same message on a page. */
const MAX_SAME = 5;
/** Reports of all messages on a page. */
const MAX_ALL = 100;
const EXTENSION = /^(chrome|moz|safari(-web)?)-extension:/;

/**
 * Return the fields of an error event; anything can be thrown.
 * @param {any} error
 * @param {string} [message] What the browser says.
 */
export const errorFields = (error, message) => {
  const isError = error && typeof error.message === "string";
  return {
    error_name: `${(isError && error.name) || "Error"}`,
    // The browser's message about what is no error has a prefix, such as "Uncaught".
    error_message: (isError ? error.message : (error == null && message) || describe(error)).slice(
      0,
      1024,
    ),
    error_stack: (isError && `${error.stack || ""}`.slice(0, MAX_STACK)) || undefined,
  };
};

/** @param {any} value */
const describe = (value) => {
  try {
    return (typeof value === "object" && JSON.stringify(value)) || String(value);
  } catch {
    return "unknown";
  }
};

/**
 * Report errors that nothing caught, and those that the site reports by `headrace("error", error)`.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const errors = ({ track, listen, commands }) => {
  /** @type {Record<string, number>} */
  const counts = {};
  let all = 0;
  const report = (
    /** @type {any} */ error,
    /** @type {any} */ properties,
    /** @type {string} */ message = "",
    at = Date.now(),
  ) => {
    if (all >= MAX_ALL) return;
    const fields = errorFields(error, message);
    const same = `${fields.error_name}:${fields.error_message}`;
    counts[same] = (counts[same] || 0) + 1;
    if (counts[same] > MAX_SAME) return;
    all += 1;
    track("error", { ...fields, properties }, at);
  };

  listen(window, "error", ({ error, message, filename, lineno, colno, target }) => {
    // Not images that are missing.
    if (target !== window || EXTENSION.test(filename)) return;
    // The browser hides errors of scripts from other origins without CORS.
    const cross_origin = (!error && /^Script error/.test(message)) || undefined;
    const source = (filename || "").replace(/[?#].*/, "") || undefined;
    report(
      error,
      { source, line: lineno || undefined, column: colno || undefined, cross_origin },
      message,
    );
  });
  listen(window, "unhandledrejection", ({ reason }) => {
    if (!(reason && EXTENSION.test((/[a-z-]+:\/\/\S+/.exec(reason.stack) || [""])[0])))
      report(reason, { unhandled_rejection: true });
  });
  commands.error = (error, properties, at) => report(error, properties, "", at);
  return () => {};
};
