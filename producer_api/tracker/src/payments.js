import { read, write } from "./storage.js";
import { flat, words } from "./tracker.js";

/** The namespace of the server's ids for events of other systems. */
const NAMESPACE = "5a0c9a5e5a8f5d0e8f5b6f1c39b4c0de";
const MAX_REMEMBERED = 20;

/**
 * Return the UUIDv5 of a name; undefined without `crypto.subtle`, which needs HTTPS.
 * @param {string} name
 */
export const uuid5 = async (name) => {
  if (!crypto.subtle) return undefined;
  const namespace = /** @type {string[]} */ (NAMESPACE.match(/../g)).map((byte) =>
    parseInt(byte, 16),
  );
  const input = new Uint8Array([...namespace, ...new TextEncoder().encode(name)]);
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-1", input));
  bytes[6] = (bytes[6] & 15) | 80;
  bytes[8] = (bytes[8] & 63) | 128;
  return [...bytes]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .replace(/(.{8})(.{4})(.{4})(.{4})(.{12}).*/, "$1-$2-$3-$4-$5");
};

/**
 * Return the payment that the URL of a page names: a checkout session of Stripe, or the value of
 * one of the parameters.
 * @param {string} query
 * @param {string[]} parameters
 * @returns {{provider?: string, id: string} | undefined}
 */
export const paymentOf = (query, parameters) => {
  const values = new URLSearchParams(query);
  const stripe = values.get("session_id") || "";
  if (stripe.startsWith("cs_")) return { provider: "stripe", id: stripe };
  const id = parameters.map((name) => values.get(name)).find(Boolean);
  return id ? { id } : undefined;
};

/**
 * Report each payment once: those that the site reports, and those that the URL of a page names
 * when the page is left, unless the site has reported them.
 *
 * The same payment has the same event id in every tab and on a server: the UUIDv5 of site,
 * provider and id.
 * @param {import("./tracker.js").Context} context
 * @returns {import("./tracker.js").Plugin}
 */
export const payments = ({ track, options, key, commands }) => {
  const area = options.storage || "localStorage";
  /** @type {string[]} */
  let paid = [];
  /** The payment that the page's URL names. @type {any} */
  let found;
  let isOpen = false;

  const nameOf = (/** @type {string | undefined} */ provider, /** @type {string} */ id) =>
    [options.site, provider || "", id].join(":");
  const isPaid = (/** @type {string} */ name) =>
    (paid = read(area, key("payments")) || paid).includes(name);
  const remember = (/** @type {string[]} */ names) =>
    write(area, key("payments"), (paid = [...paid, ...names].slice(-MAX_REMEMBERED)));

  const pay = async (/** @type {any} */ given, /** @type {number} */ at) => {
    const { amount, currency, ...properties } = flat(given);
    const { provider = found && found.provider, ...rest } = properties;
    const id = rest.order_id || rest.transaction_id || (found && found.id);
    const name = id && nameOf(provider, id);
    const names = [name, found && found.name].filter(Boolean);
    isOpen = false;
    if (name && isPaid(name)) return;
    const event_id = name ? await uuid5(name) : undefined;
    const fields = { amount, currency, provider, properties: rest };
    if (track("payment", event_id ? { ...fields, event_id } : fields, at)) remember(names);
  };

  commands.payment = (given, _, at) => {
    // Such as properties that are no JSON.
    pay(given, at).catch(() => {});
  };

  return (hook) => {
    if (hook === "view") {
      const payment = paymentOf(location.search, words(options.payments));
      found = payment && { ...payment, name: nameOf(payment.provider, payment.id) };
      isOpen = !!found && !isPaid(found.name);
      const { name } = found || {};
      // Computed now: at the end of a page there is no time for it.
      if (isOpen)
        uuid5(name).then((event_id) => {
          if (event_id && found && found.name === name) found.ids = { event_id };
        });
    } else if (hook === "leave" && isOpen) {
      isOpen = false;
      const fields = { provider: found.provider, properties: { id: found.id }, ...found.ids };
      if (track("payment", fields)) remember([found.name]);
    }
  };
};
