/** Without input for this long, the visitor is taken to be away. */
const IDLE_MS = 30 * 60e3;

/**
 * Return a clock of the time in which the page is visible and the visitor is not away.
 *
 * Call it at each change and each input; it returns the whole milliseconds so far. Times are those
 * of `performance.now()`.
 * @returns {(now: number, isVisible: boolean, isInput?: boolean) => number}
 */
export const createClock = () => {
  let total = 0;
  /** @type {number | undefined} */
  let since;
  let lastInput = 0;
  return (now, isVisible, isInput) => {
    if (since === undefined) isInput = true;
    else total += Math.max(0, Math.min(now, lastInput + IDLE_MS) - since);
    if (isInput) lastInput = now;
    since = isVisible ? now : undefined;
    return Math.round(total);
  };
};
