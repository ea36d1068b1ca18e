import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUrl, linkEvent } from "../../../../producer_api/tracker/src/urls.js";

test("query values that contain an e-mail address are masked, and the fragment is removed", () => {
  const url = "https://shop.example/thanks";
  for (const value of [
    "ada@example.com",
    "ada%40example.com",
    "ada%2540example.co.uk",
    "Ada+%3Cada@x.de%3E",
  ])
    assert.equal(cleanUrl(`${url}?a=1&mail=${value}&b=2#top`), `${url}?a=1&mail=***&b=2`);
  for (const kept of [url, `${url}?a=@&b=@ada&c=1.5`, `${url}/ada@home?x=1`])
    assert.equal(cleanUrl(kept), kept);
});

test("the fragment of a route is kept, and masked like a query", () => {
  assert.equal(
    cleanUrl("https://x.example/?a=1#/r?m=a@b.de&n=2", true),
    "https://x.example/?a=1#/r?m=***&n=2",
  );
});

test("a link is a download by its extension, and outbound by its host or scheme", () => {
  const own = ["www.shop.example", "pay.example"];
  const kind = (href, isDownload = false) => linkEvent(new URL(href), isDownload, own).join(" ");
  for (const [href, expected] of [
    ["https://shop.example/list.pdf?x=1", "custom_event download"],
    ["https://cdn.example/setup.EXE", "custom_event download"],
    ["https://other.example/", "external_link"],
    ["https://notshop.example/", "external_link"],
    ["https://shop.example.evil.example/", "external_link"],
    ["mailto:ada@example.com", "external_link"],
    ["tel:+49301", "external_link"],
    ["https://shop.example/", ""],
    ["https://blog.shop.example/", ""],
    ["https://checkout.pay.example/", ""],
  ])
    assert.equal(kind(href), expected, href);
  for (const href of ["javascript:void(0)", "blob:https://shop.example/1.pdf", "data:text/plain,x"])
    assert.equal(kind(href), "", href);
  assert.equal(kind("https://shop.example/data", true), "custom_event download");
});
