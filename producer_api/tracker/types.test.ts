// Not run: `npm run types` checks that right calls compile, and wrong ones do not.
import { create, full } from "./index.js";

const tracker = create({ site: "shop", api: "/stats", hash: true, storage: "none" }, full);
tracker("signup", { plan: "pro" });
tracker("pageview", { path: "/cart" });
tracker("identify", "u-42", { plan: "pro" });
tracker("identify", { user_id: "u-42", plan: "pro" });
tracker("payment", { amount: "49.90", currency: "EUR", order_id: "o-1" });
tracker("error", new Error("handled"), { where: "cart" });
tracker("consent", true);
tracker("reset");
window.headrace("signup");
window.headrace.create({ site: "other" })("signup");

// @ts-expect-error: a site is required
create({ api: "/stats" });
// @ts-expect-error: a storage has one of three names
create({ site: "shop", api: "", storage: "cookie" });
// @ts-expect-error: properties are an object
tracker("signup", 7);
