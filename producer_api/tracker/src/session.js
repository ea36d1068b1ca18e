import { uuid7 } from "./ids.js";
import { read, write } from "./storage.js";

/** Without events for this long, a session ends. */
const IDLE_MS = 30 * 60e3;

/**
 * @typedef {object} Session
 * @property {string} [id]
 * @property {number} at The time of its latest event.
 * @property {string | null} [user_id]
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
  return (at, user_id) => {
    const current = read(area, key) || session;
    // A clock that was ahead does not make a session endless.
    const isActive = user_id !== null && Math.abs(at - current.at) < IDLE_MS;
    // After inactivity, a tab keeps its user, unless another tab has ended the session.
    if (user_id === undefined && (isActive || current.id === session.id)) user_id = current.user_id;
    session = { id: isActive ? current.id : uuid7(at), user_id, at };
    write(area, key, session);
    return session;
  };
};
