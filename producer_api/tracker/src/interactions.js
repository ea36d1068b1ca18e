import { cleanUrl, linkEvent } from "./urls.js";

/**
 * Return the name and the properties in the attributes `data-hr-*` of an element.
 * @param {any} element
 */
const marks = (element) => {
  /** @type {Record<string, any>} */
  const found = {};
  for (const name of element.getAttributeNames())
    if (/^data-hr-/.test(name))
      found[name.slice(8).replace(/-/g, "_")] = element.getAttribute(name);
  const { event, ...properties } = found;
  return { event_name: event, properties };
};

/**
 * Report marked elements, downloads and outbound links that are clicked, forms and copies.
 * @param {import("./tracker.js").Context["track"]} track
 * @param {import("./tracker.js").Context["listen"]} listen
 * @param {string[]} domains More host names of the site.
 */
export const interactions = (track, listen, domains) => {
  const click = (/** @type {MouseEvent} */ event) => {
    const find = (/** @type {string} */ selector) =>
      /** @type {any} */ (
        event
          .composedPath()
          .find((/** @type {any} */ node) => node.nodeType === 1 && node.matches(selector))
      );
    const marked = find("[data-hr-event]:not(form)");
    const link = find(":any-link");
    // 1 is the middle button.
    if (event.button > 1) return;
    if (marked) track("button_click", marks(marked));
    if (!link) return;
    // In SVG, `href` is an object, and its text can be relative.
    const url = new URL(link.href.baseVal || link.href, link.baseURI);
    const isDownload = link.hasAttribute("download");
    const [type, event_name] = linkEvent(url, isDownload, [location.hostname, ...domains]);
    if (type) track(type, { event_name, properties: { href: cleanUrl(url.href) } });
  };
  listen(document, "click", click);
  listen(document, "auxclick", click);

  listen(document, "submit", ({ target }) => {
    // Not its members `name`, `id`, and `elements`: fields with these names hide them.
    const fields = [...target.querySelectorAll("[name]:not(button)")].map(({ name }) => name);
    const { event_name, properties } = marks(target);
    track("form_submit", {
      event_name: event_name || target.getAttribute("name") || target.getAttribute("id"),
      properties: { ...properties, fields: [...new Set(fields)] },
    });
  });

  listen(document, "copy", () =>
    track("copy", { properties: { length: `${getSelection()}`.length } }),
  );
};
