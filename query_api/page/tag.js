// The tag to paste into the pages of a site, and the wait for its first event.

import { byId, clock, server, setText } from "./dom.js";
import { describeEvent } from "./now.js";

const COPIED_MS = 2000;
const SITE_ID = /^[A-Za-z0-9._-]{1,64}$/;
const isLocal = /^(localhost|127\..*|\[::1\])$/.test(new URL(server).hostname);

// The attributes of the versioned URL and the hash of each script, or null where they are unknown.
const checkedScripts = new Map();

async function checkedScript(name) {
  const response = await fetch(`${server}/${name}`).catch(() => null);
  const versioned = response?.ok && response.headers.get("content-location");
  // Browsers have `crypto.subtle` only on HTTPS and on this machine.
  if (!versioned || !crypto.subtle) return null;
  const hash = await crypto.subtle.digest("SHA-384", await response.arrayBuffer());
  const base64 = btoa(String.fromCharCode(...new Uint8Array(hash)));
  return `src="${new URL(versioned, response.url)}"\n  integrity="sha384-${base64}"\n  crossorigin="anonymous"`;
}

async function tagFor(site, isFull, isChecked) {
  const name = isFull ? "script.full.js" : "script.js";
  if (!checkedScripts.has(name)) checkedScripts.set(name, await checkedScript(name));
  const checked = isChecked && checkedScripts.get(name);
  return checked
    ? `<script defer ${checked}\n  data-site="${site}"></script>`
    : `<script defer src="${server}/${name}"\n  data-site="${site}"></script>`;
}

function curl(site) {
  return `curl ${server}/api/event \\\n`
    + `  -d '{"type":"pageview",\n       "site_id":"${site}",\n`
    + `       "session_id":"s1",\n       "path":"/hello"}'`;
}

// Returns a panel with the tag of a site. The script of the tag, and how it is loaded, are options.
function newPanel(site) {
  const panel = byId("tag-template").content.firstElementChild.cloneNode(true);
  const [full, checked] = panel.querySelectorAll("input");
  const update = async () => {
    const { site } = panel.dataset;
    const tag = await tagFor(site, full.checked, checked.checked);
    if (panel.dataset.site !== site) return;
    setText(panel.querySelector(".tag code"), tag);
    setText(panel.querySelector(".curl code"), curl(site));
    setText(panel.querySelector(".remote code"), `headrace sites add ${site}`);
    checked.closest("li").hidden = !checkedScripts.get(full.checked ? "script.full.js" : "script.js");
  };
  for (const option of [full, checked]) option.addEventListener("change", update);
  makeCopyable(panel);
  panel.querySelector(".local").hidden = !isLocal;
  panel.querySelector(".remote").hidden = isLocal;
  panel.setSite = (name) => {
    if (panel.dataset.site === name) return;
    panel.dataset.site = name;
    update();
  };
  panel.setSite(site);
  return panel;
}

// Shows the panel in a place; the same one if its site has not changed, with the options that were selected.
export function showTag(place, site) {
  if (place.firstElementChild) place.firstElementChild.setSite(site);
  else place.append(newPanel(site));
}

export function showTagDialog(site) {
  showTag(byId("tag-dialog").querySelector(".place"), site);
  byId("tag-dialog").showModal();
}

// Shows the tag of a site whose name is entered, until there is a first event.
export function showInstallation() {
  const field = byId("site-name");
  const update = () => {
    field.setAttribute("aria-invalid", String(!SITE_ID.test(field.value)));
    if (SITE_ID.test(field.value)) showTag(byId("empty").querySelector(".place"), field.value);
  };
  if (!field.oninput) {
    field.oninput = update;
    setText(byId("demo"), `headrace demo --to ${server}`);
    makeCopyable(byId("empty"));
  }
  update();
}

export function showFirstEvent(event) {
  const banner = byId("first-event");
  setText(byId("first-event-text"), `${describeEvent(event)} at ${clock(new Date(event.at), true)}`);
  banner.hidden = false;
  banner.querySelector("button").onclick = () => { banner.hidden = true; };
}

function makeCopyable(parent) {
  for (const block of parent.querySelectorAll(".copyable")) {
    block.querySelector("button").onclick = () => copy(block);
  }
}

async function copy(block) {
  const code = block.querySelector("code");
  const button = block.querySelector("button");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without HTTPS there is no clipboard; the text is selected at least.
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  setText(button, "Copied");
  setTimeout(() => setText(button, "Copy"), COPIED_MS);
}
