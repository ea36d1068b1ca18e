import { uuid7 } from "./ids.js";
import { read, write } from "./storage.js";

/** Without events for this long, a session ends. */
const IDLE_MS = 30 * 60e3;

/**
 * @typedef {object} Session
 * @property {string} [id]
 * @property {number} at The time of its latest event.
 * @property {string} [user_id]
 */

/**
 * Return a function that returns the session at the time of an event: a new one after inactivity.
 * The tabs of a browser share it. A given user is remembered; null ends the session.
 * @param {string} area See `read`.
 * @param {string} key The key in storage.
 * @returns {(at: number, user_id?: string | null) => Session}
 */
export const createSession = (area, key) => {
  /** @type {Session} */
  let session = { at: 0 };
  return (at, user_id = session.user_id) => {
    const current = read(area, key) || session;
    session =
      user_id !== null && at - current.at < IDLE_MS
        ? { ...current, user_id: user_id || current.user_id, at }
        : { id: uuid7(at), user_id, at };
    write(area, key, session);
    return session;
  };
};
