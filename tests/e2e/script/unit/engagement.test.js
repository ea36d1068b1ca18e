import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../../../producer_api/tracker/src/engagement.js";

const MINUTE = 60e3;

test("time counts while the page is visible", () => {
  const clock = createClock();
  clock(0, true);
  assert.equal(clock(2000.4, false), 2000);
  assert.equal(clock(5000, true), 2000);
  assert.equal(clock(5700, true), 2700);
  assert.equal(clock(6000.2, false), 3001);
  assert.equal(clock(9000, false), 3001);
});

test("time without input counts for 30 minutes", () => {
  const clock = createClock();
  clock(0, true);
  assert.equal(clock(20 * MINUTE, true, true), 20 * MINUTE);
  assert.equal(clock(90 * MINUTE, true), 50 * MINUTE);
  assert.equal(clock(100 * MINUTE, true, true), 50 * MINUTE);
  assert.equal(clock(110 * MINUTE, false), 60 * MINUTE);
});

test("a page that is shown again counts without an input", () => {
  const clock = createClock();
  clock(0, true);
  clock(MINUTE, false);
  clock(60 * MINUTE, true);
  assert.equal(clock(61 * MINUTE, false), 2 * MINUTE);
});

test("calls at the same time add nothing", () => {
  const clock = createClock();
  clock(5, true);
  assert.equal(clock(5, true), 0);
  assert.equal(clock(5, false), 0);
});
