import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { createSession } from "../../../../producer_api/tracker/src/session.js";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const MINUTE = 60e3;
const HOUR = 60 * MINUTE;

let tabs;
beforeEach(() => {
  globalThis.window = { localStorage: {} };
  tabs = [0, 1].map(() => createSession("localStorage", "session"));
});

test("the tabs of a browser share a session until half an hour after its last event", () => {
  const [one, other] = tabs;
  const { id } = one(NOW);
  assert.equal(other(NOW + 29 * MINUTE).id, id);
  assert.equal(one(NOW + 58 * MINUTE).id, id);
  assert.notEqual(one(NOW + 89 * MINUTE).id, id);
});

test("without storage, a page has a session", () => {
  const session = createSession("none", "session");
  const { id } = session(NOW, "u-1");
  assert.deepEqual(session(NOW + 1), { id, user_id: "u-1", at: NOW + 1 });
});

test("a user is that of all tabs, and of the session after inactivity in a tab that stays open", () => {
  const [one, other] = tabs;
  one(NOW, "u-1");
  assert.equal(other(NOW).user_id, "u-1");
  assert.equal(one(NOW + HOUR).user_id, "u-1");
  assert.equal(createSession("localStorage", "session")(NOW + 2 * HOUR).user_id, undefined);
});

test("a reset begins one session without the user, in all tabs", () => {
  const [one, other] = tabs;
  const { id } = one(NOW, "u-1");
  other(NOW);
  const after = other(NOW + 1, null);
  assert.notEqual(after.id, id);
  for (const tab of [one, other, one]) {
    assert.equal(tab(NOW + 2).id, after.id);
    assert.ok(!tab(NOW + 2).user_id);
  }
});

test("a clock that was ahead does not keep a session", () => {
  const [one] = tabs;
  const { id } = one(NOW + 365 * 24 * HOUR);
  assert.notEqual(one(NOW).id, id);
});
