import assert from "node:assert/strict";
import { test } from "node:test";
import { uuid7 } from "../../../../producer_api/tracker/src/ids.js";
import { paymentOf, uuid5 } from "../../../../producer_api/tracker/src/payments.js";

test("a UUIDv7 has the time, is unique, and is greater than the one before", () => {
  const ids = Array.from({ length: 1000 }, () => uuid7(1769860800000));
  for (const id of ids) assert.match(id, /^019c13ec-9e00-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([...new Set(ids)].sort(), ids);
});

test("a UUIDv7 is valid for a device without a clock", () => {
  assert.match(uuid7(0), /^00000000-0000-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("a payment has the id that the server's uuid5 computes", async () => {
  // uuid.uuid5(_NAMESPACE of producer_api/events/dialects/fitting.py, "shop:stripe:cs_test_1")
  assert.equal(await uuid5("shop:stripe:cs_test_1"), "19df9cf2-05d8-5852-aea8-9656b8965a5c");
});

test("a URL names a checkout session of Stripe, or the parameters that the site lists", () => {
  assert.deepEqual(paymentOf("?session_id=cs_live_1&order_id=7", ["order_id"]), {
    provider: "stripe",
    id: "cs_live_1",
  });
  assert.deepEqual(paymentOf("?session_id=abc&order_id=7", ["order_id"]), { id: "7" });
  assert.equal(paymentOf("?session_id=abc&order_id=7", []), undefined);
});
