// The buttons of the demo site. Calls before the tracker has loaded are queued.

window.headrace = window.headrace || function () { (window.headrace.q = window.headrace.q || []).push(arguments); };

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { push, goto, break: part } = button.dataset;
  if (push) history.pushState({}, "", push);
  if (goto) location.assign(goto);
  if (part) throw new TypeError(`Cannot ${part} this picture`);
});

if (location.pathname === "/thanks") headrace("payment", { amount: 79.5, currency: "EUR" });
