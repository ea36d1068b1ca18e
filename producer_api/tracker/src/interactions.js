import { cleanUrl, linkKind } from "./urls.js";

/**
 * Return the name and the properties in the attributes `data-hr-*` of an element.
 * @param {any} element
 */
const marks = (element) => {
  /** @type {Record<string, any>} */
  const found = {};
  for (const name of element.getAttributeNames())
    if (/^data-hr-/.test(name)) found[name.slice(8).replace(/-/g, "_")] = element.getAttribute(name);
  const { event, ...properties } = found;
  return { event_name: event, properties };
};

/**
 * Report marked elements, downloads and outbound links that are clicked, forms and copies.
 * @param {import("./tracker.js").Context} context
 */
export const interactions = ({ track, listen, domains }) => {
  const click = (/** @type {MouseEvent} */ event) => {
    const find = (/** @type {string} */ selector) =>
      /** @type {any} */ (
        event.composedPath().find((node) => node instanceof Element && node.matches(selector))
      );
    const marked = find("[data-hr-event]:not(form)");
    const link = find("a[href],area[href]");
    // 1 is the middle button.
    if (event.button > 1) return;
    if (marked) track("button_click", marks(marked));
    if (!link) return;
    const url = new URL(link.href.baseVal || link.href, document.baseURI);
    const kind = link.hasAttribute("download")
      ? "download"
      : linkKind(url, [location.hostname, ...domains]);
    const properties = { href: cleanUrl(url.href) };
    if (kind === "outbound") track("external_link", { properties });
    else if (kind) track("custom_event", { event_name: kind, properties });
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
