// The message for a site in the URL that has no events or an invalid name.

import { byId, linkSites, server, setText } from "./dom.js";
import { showTag } from "./tag.js";

// Returns whether a site has events in the last 30 minutes, or visits; or the failed response.
export async function hasEvents(site, get) {
  const base = `${server}/api/sites/${encodeURIComponent(site)}`;
  const live = await get(`${base}/live`);
  if (!live?.ok) return { failed: live };
  if ((await live.json()).per_minute.some((count) => count)) return { found: true };
  const visits = await get(`${base}/sessions?limit=1`);
  if (!visits?.ok) return { failed: visits };
  return { found: (await visits.json()).items.length > 0 };
}

export function showUnknown(site, others) {
  setText(byId("unknown-title"), `No events from “${site}” yet`);
  setText(byId("unknown-why"), "Is this the site_id that your pages send?");
  linkSites(byId("unknown-sites"), others);
  byId("unknown-begin").hidden = false;
  showTag(byId("unknown-begin").querySelector(".place"), site);
}

export function showInvalid(site, others) {
  setText(byId("unknown-title"), `“${site}” is not a valid site_id`);
  setText(byId("unknown-why"), "A site_id is 1 to 64 characters from A-Z a-z 0-9 . _ -");
  linkSites(byId("unknown-sites"), others);
  byId("unknown-begin").hidden = true;
}
