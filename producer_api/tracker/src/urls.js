/** A query value with a name, an `@` that is percent-encoded up to twice, and a domain. */
const EMAIL = /([?&][^=&#]+=)[^&#]+(@|%(25)?40)[^&#]+\.[^&#]+/gi;
const FILES =
  /\.(apk|csv|dmg|docx?|exe|iso|mp[34]|msi|pdf|pkg|pptx?|rar|t?gz|txt|xlsx?|zip)$/i;

/**
 * Remove the fragment of a URL unless it is a route, and mask query values with an e-mail address.
 * @param {string} url
 * @param {boolean} [hasRoute]
 */
export const cleanUrl = (url, hasRoute) =>
  (hasRoute ? url : url.replace(/#.*/, "")).replace(EMAIL, "$1***");

/**
 * Return the type and the name of the event of a link that is a download, or leads to another site;
 * undefined for other links.
 * @param {URL} url
 * @param {boolean} isDownload The link has the attribute `download`.
 * @param {string[]} own The host names of the site; their subdomains belong to it.
 */
export const linkEvent = ({ protocol, hostname, pathname }, isDownload, own) =>
  !/^(https?|mailto|tel):/.test(protocol)
    ? []
    : isDownload || (hostname && FILES.test(pathname))
      ? ["custom_event", "download"]
      : own.some((host) => `.${hostname}`.endsWith(host.replace(/^(www\.)?/, ".")))
        ? []
        : ["external_link"];
