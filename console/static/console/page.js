// What every page gains from script; each of these works in a plainer way without it.
"use strict";

// "/" goes to the search, Escape leaves it and closes an open menu.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing) {
    const field = document.querySelector("[data-search]");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }
  if (event.key === "Escape") {
    if (typing && typing.matches("[data-search]")) typing.blur();
    document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
});

document.addEventListener("click", (event) => {
  document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  const copier = event.target.closest("[data-copy], [data-copy-from]");
  if (copier) copy(copier);
});

// <button data-copy="text"> copies the text, <button data-copy-from="#id"> what that element says.
async function copy(button) {
  const from = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  const text = from ? from.value || from.textContent : button.dataset.copy;
  const said = button.dataset.copied || "";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard without TLS on another host than localhost: select, so that Ctrl-C does it.
    if (from) window.getSelection().selectAllChildren(from);
    return;
  }
  button.classList.add("done");
  const live = document.getElementById("announce");
  if (live) live.textContent = said;
  window.setTimeout(() => button.classList.remove("done"), 1600);
}

// A form may be sent once: a second click while the answer is under way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
});

// <select data-submits> sends its form when a choice is made; its button is for those without script.
document.addEventListener("change", (event) => {
  const field = event.target.closest("[data-submits]");
  if (field && field.form) field.form.requestSubmit();
});
document.querySelectorAll("[data-plain]").forEach((element) => (element.hidden = true));

// The browser's time zone, so that the server can print this reader's times.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.includes(`timezone=${encodeURIComponent(zone)}`)) {
  document.cookie = `timezone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}

// A poll that failed (a restart, a sleeping laptop) tries again by itself.
["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach((name) => {
  document.addEventListener(name, (event) => {
    const source = event.detail.elt;
    if (source && source.matches("[data-poll]")) {
      window.setTimeout(() => window.htmx.trigger(source, "again"), 5000);
    }
  });
});
