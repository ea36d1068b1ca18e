/** A name, an `@` that is percent-encoded up to twice, and a domain. */
const EMAIL = /.(@|%(25)?40).+\../i;
const FILES =
  /\.(apk|csv|dmg|docx?|exe|iso|mp[34]|msi|pdf|pkg|pptx?|rar|t?gz|txt|xlsx?|zip)$/i;

/**
 * Remove the fragment of a URL unless it is a route, and mask query values with an e-mail address.
 * @param {string} url
 * @param {boolean} [hasRoute]
 */
export const cleanUrl = (url, hasRoute) =>
  (hasRoute ? url : url.replace(/#.*/, "")).replace(
    /([?&][^=&#]+=)([^&#]+)/g,
    (pair, start, value) => (EMAIL.test(value) ? start + "***" : pair),
  );

/**
 * Return the type and the name of the event of a link that is a download, or leads to another site;
 * undefined for other links.
 * @param {Pick<HTMLAnchorElement, "protocol" | "hostname" | "pathname" | "hasAttribute">} link
 * @param {string[]} own The host names of the site; their subdomains belong to it.
 */
export const linkEvent = (link, own) => {
  const { protocol, hostname, pathname } = link;
  if (!/^(https?|mailto|tel):/.test(protocol)) return;
  if (link.hasAttribute("download") || (hostname && FILES.test(pathname)))
    return ["custom_event", "download"];
  if (!own.some((host) => `.${hostname}`.endsWith(host.replace(/^(www\.)?/, "."))))
    return ["external_link"];
};
