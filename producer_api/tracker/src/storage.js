/**
 * Return the JSON value of a key, or the text if it is not JSON. Storage can be disabled.
 * @param {string} area localStorage, sessionStorage, or another word for no storage.
 * @param {string} key
 */
export const read = (area, key) => {
  let text;
  try {
    text = /** @type {any} */ (window)[area][key] || null;
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/**
 * Store a JSON value. Storage can be disabled or full: the caller goes on without.
 * @param {string} area
 * @param {string} key
 * @param {unknown} value
 */
export const write = (area, key, value) => {
  try {
    /** @type {any} */ (window)[area][key] = JSON.stringify(value);
  } catch {
    // The value is in memory.
  }
};
