import assert from "node:assert/strict";
import { test } from "node:test";
import { isRetriable, nextBatch, storable } from "../../../../producer_api/tracker/src/queue.js";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const HOUR = 3600e3;
const event = (id, age = 0, text = "") => ({
  event_id: `${id}`,
  timestamp: new Date(NOW - age).toISOString(),
  text,
});
const entries = (events) => events.map((one) => [one.event_id, one]);
const ids = (kept) => kept.map(([id]) => id);

test("a request has at most 60 KiB of UTF-8, and 100 events", () => {
  const many = Array.from({ length: 150 }, (_, id) => event(id));
  assert.deepEqual(nextBatch(many), many.slice(0, 100));
  for (const text of ["x", "ü", "日", "👩‍🚀", "\\"]) {
    const large = Array.from({ length: 20 }, (_, id) => event(id, 0, text.repeat(4000)));
    const batch = nextBatch(large).map((one) => ({ ...one, sent_at: new Date(NOW).toISOString() }));
    assert.ok(batch.length > 0);
    assert.ok(new TextEncoder().encode(JSON.stringify(batch)).length < 60 * 1024);
  }
});

test("an event that is too large for a request does not keep others from being sent", () => {
  const small = event(2);
  assert.deepEqual(nextBatch([event(1, 0, "x".repeat(70_000)), small]), [small]);
});

test("events are stored for a day, at most 100, at most 128 KiB, the latest", () => {
  assert.deepEqual(ids(storable(entries([event(1, 24 * HOUR), event(2, 23 * HOUR)]), NOW)), ["2"]);
  const many = Array.from({ length: 150 }, (_, id) => event(id));
  assert.deepEqual(storable(entries(many), NOW), entries(many.slice(50)));
  const large = Array.from({ length: 9 }, (_, id) => event(id, 0, "x".repeat(20_000)));
  const kept = storable(entries(large), NOW);
  assert.deepEqual(ids(kept), ["3", "4", "5", "6", "7", "8"]);
});

test("events are sent again without a response, and if the server may accept them later", () => {
  for (const status of [0, 408, 429, 500, 502, 503, 599])
    assert.ok(isRetriable(status), `${status}`);
  for (const status of [200, 202, 204, 400, 401, 403, 404, 413])
    assert.ok(!isRetriable(status), `${status}`);
});

test("of a batch, those are sent again that failed or exceeded the rate limit", () => {
  for (const status of [207, 400, 500]) {
    assert.ok(isRetriable(status, { status: "failed", code: "not_accepted" }));
    assert.ok(isRetriable(status, { status: "rejected", code: "rate_limited" }));
    assert.ok(!isRetriable(status, { status: "rejected", code: "unknown_type" }));
    assert.ok(!isRetriable(status, { status: "accepted" }));
  }
});
