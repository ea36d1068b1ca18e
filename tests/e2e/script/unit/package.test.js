import assert from "node:assert/strict";
import { test } from "node:test";
import { create, full } from "../../../../producer_api/tracker/src/index.js";

test("on a server that renders pages, nothing is tracked", () => {
  const tracker = create({ site: "shop", api: "https://collect.example" }, full);
  assert.equal(tracker("signup", { plan: "pro" }), undefined);
});
