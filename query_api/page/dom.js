// Helpers for elements and numbers. Data from the server is set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "rect", "line", "title"]);

// The URL of the server, without trailing slash, also below the root path of a reverse proxy.
export const server = new URL("..", import.meta.url).href.slice(0, -1);

export const byId = (id) => document.getElementById(id);

const full = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact" });
export const number = (count) => full.format(count);
export const compact = (count) => short.format(count);
export const plural = (count, singular, many) => `${number(count)} ${count === 1 ? singular : many}`;

export function clock(date, seconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return date.toLocaleTimeString([], seconds ? { ...options, second: "2-digit" } : options);
}

export function create(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== `${value}`) element.setAttribute(name, value);
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Updates the items of a list. Unchanged items stay in place, so their animations continue.
export function updateList(list, items, none) {
  const shown = items.length ? items : [create("li", { class: "none" }, none)];
  shown.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  while (list.children.length > shown.length) list.lastChild.remove();
}

// Fills the last element of a sentence with links to sites; hides the sentence if there are none.
export function linkSites(sentence, sites) {
  const shown = sites.slice(0, 12).map((site) => create("a", { href: `?site=${encodeURIComponent(site)}` }, site));
  sentence.hidden = !shown.length;
  const more = sites.length > shown.length ? [", …"] : [];
  sentence.lastElementChild.replaceChildren(
    ...shown.flatMap((link, index) => (index ? [", ", link] : [link])), ...more);
}
