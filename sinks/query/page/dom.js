// Elements and numbers. Everything from the server is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const OF_SVG = new Set(["svg", "rect", "line", "title"]);

export const at = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact" });
export const number = (count) => whole.format(count);
export const brief = (count) => short.format(count);
export const many = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

export function clock(date, seconds = false) {
  const shown = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return date.toLocaleTimeString([], seconds ? { ...shown, second: "2-digit" } : shown);
}

export function make(tag, attributes = {}, ...children) {
  const element = OF_SVG.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== `${value}`) element.setAttribute(name, value);
  }
}

export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Has a list show these items; those that stay where they are go on moving undisturbed.
export function arrange(list, items, none) {
  const shown = items.length ? items : [make("li", { class: "none" }, none)];
  shown.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  while (list.children.length > shown.length) list.lastChild.remove();
}

// Has a sentence that ends with sites link to the pages of some of them; without any it is hidden.
export function links(sentence, sites) {
  const shown = sites.slice(0, 12).map((site) => make("a", { href: `?site=${encodeURIComponent(site)}` }, site));
  sentence.hidden = !shown.length;
  const more = sites.length > shown.length ? [", …"] : [];
  sentence.lastElementChild.replaceChildren(
    ...shown.flatMap((link, place) => (place ? [", ", link] : [link])), ...more);
}
