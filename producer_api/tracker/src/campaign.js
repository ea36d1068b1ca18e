import { read, write } from "./storage.js";

const CLICK_IDS =
  /^([gdy]clid|[gw]braid|fbclid|msclkid|ttclid|twclid|li_fat_id|rdt_cid|epik|sccid|igshid|irclickid)$/;
const UTM = /^utm_(source|medium|campaign|term|content)$/;

/**
 * Return the campaign parameters and click ids of a query, as fields of an event.
 * @param {string} query
 */
export const campaignOf = (query) => {
  /** @type {Record<string, Record<string, string>>} */
  const found = {};
  const values = new URLSearchParams(query);
  const put = (
    /** @type {string} */ field,
    /** @type {string} */ name,
    /** @type {string} */ value,
  ) => {
    if (value) found[field] = { ...found[field], [name]: value.slice(0, 512) };
  };
  put("utm", "source", values.get("ref") || values.get("source") || "");
  values.forEach((value, name) => {
    const utm = UTM.exec(name);
    if (utm) put("utm", utm[1], value);
    if (CLICK_IDS.test(name)) put("ad_click_ids", name, value);
  });
  return found;
};

/**
 * Add the campaign that a session began with to all of its events. Links with `utm_` inside the
 * site do not replace it.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const campaign = ({ options, key }) => {
  const area = options.storage || "localStorage";
  /** @type {any} */
  let known = {};
  return (name, event) => {
    if (name !== "event" || !event) return;
    known = read(area, key("campaign")) || known;
    if (known.id !== event.session_id) {
      known = { id: event.session_id, fields: campaignOf(location.search) };
      write(area, key("campaign"), known);
    }
    Object.assign(event, { ...known.fields, ...event });
  };
};
