import assert from "node:assert/strict";
import { test } from "node:test";
import { campaignOf } from "../../../../producer_api/tracker/src/campaign.js";
import { errorFields } from "../../../../producer_api/tracker/src/errors.js";
import {
  createShifts,
  interactionToNextPaint,
} from "../../../../producer_api/tracker/src/vitals.js";

test("a campaign has the five UTM parameters and click ids", () => {
  assert.deepEqual(
    campaignOf("?utm_source=news&utm_medium=email&utm_id=9&utm_term=&gclid=g1&fbclid=f&id=3"),
    {
      utm: { source: "news", medium: "email" },
      ad_click_ids: { gclid: "g1", fbclid: "f" },
    },
  );
  assert.deepEqual(campaignOf("?ref=hn"), { utm: { source: "hn" } });
  assert.deepEqual(campaignOf("?ref=hn&utm_source=news"), { utm: { source: "news" } });
  assert.deepEqual(campaignOf("?page=2"), {});
});

test("anything can be thrown", () => {
  const message = (thrown, text) => errorFields(thrown, text).error_message;
  assert.equal(errorFields(new TypeError("x is not a function")).error_name, "TypeError");
  assert.equal(message(new RangeError("too long")), "too long");
  assert.equal(message("text"), "text");
  assert.equal(message(undefined), "undefined");
  assert.equal(message(null), "null");
  assert.equal(message({ code: 7 }), '{"code":7}');
  assert.equal(message(Symbol("s")), "Symbol(s)");
  assert.equal(message(null, "Script error."), "Script error.");
  const cyclic = {};
  cyclic.self = cyclic;
  assert.equal(message(cyclic), "unknown");
  assert.equal(message(Object.create(null)), "{}");
  assert.equal(message(new DOMException("stopped", "AbortError")), "stopped");
});

test("a stack has at most 2 KiB", () => {
  const error = new Error("deep");
  error.stack = "x".repeat(5000);
  assert.equal(errorFields(error).error_stack.length, 2048);
});

test("the cumulative layout shift is that of the worst window", () => {
  const shift = createShifts();
  assert.equal(shift(100, 0.1), 0.1);
  assert.ok(Math.abs(shift(900, 0.1) - 0.2) < 1e-9);
  assert.ok(Math.abs(shift(1900, 0.15) - 0.2) < 1e-9, "a second without shifts ends a window");
  const long = createShifts();
  for (let time = 0; time < 5000; time += 900) long(time, 0.1);
  assert.ok(Math.abs(long(5400, 0.1) - 0.6) < 1e-9, "five seconds end a window");
});

test("of each 50 interactions, the worst is left out", () => {
  assert.equal(interactionToNextPaint([16, 400, 80], 3), 400);
  assert.equal(interactionToNextPaint([16, 400, 80], 49), 400);
  assert.equal(interactionToNextPaint([16, 400, 80], 50), 80);
  assert.equal(interactionToNextPaint([400], 500), 400);
});
