// A site that the address names and nothing is known of.

import { at, links, tell } from "./dom.js";

export function example(site) {
  return `curl ${location.origin}/api/event \\\n`
    + `  -d '{"type":"pageview",\n       "site_id":"${site}",\n`
    + `       "session_id":"s1",\n       "path":"/hello"}'`;
}

// Returns whether the site has anything to show: events of the last half hour, or visits.
export async function hasEvents(site, ask) {
  const own = `/api/sites/${encodeURIComponent(site)}`;
  const live = await ask(`${own}/live`);
  if (!live?.ok) return { failed: live };
  if ((await live.json()).per_minute.some((count) => count)) return { known: true };
  const visits = await ask(`${own}/sessions?limit=1`);
  if (!visits?.ok) return { failed: visits };
  return { known: (await visits.json()).items.length > 0 };
}

export function showUnknown(site, others) {
  tell(at("unknown-title"), `No events of “${site}” yet`);
  tell(at("unknown-why"), "Is this the site_id that your tracker sends? "
    + "This page begins by itself as soon as its first event comes in.");
  links(at("unknown-sites"), others);
  at("unknown-begin").hidden = false;
  tell(at("unknown-example"), example(site));
}

export function showImpossible(site, others) {
  tell(at("unknown-title"), `“${site}” cannot be a site`);
  tell(at("unknown-why"), "A site_id is 1 to 64 characters out of A-Z a-z 0-9 . _ -");
  links(at("unknown-sites"), others);
  at("unknown-begin").hidden = true;
}
