// What the wizard gains from script; every step works without it.
"use strict";

(() => {
  const form = document.querySelector("form[data-step]");
  if (!form) return;

  // A link to another step saves this one on the way, if anything was changed.
  const filled = () => JSON.stringify([...new FormData(form)].map(([name, value]) => [name, value.name ?? value]));
  const untouched = filled();
  const isChanged = () => filled() !== untouched;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-go]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !isChanged()) return;
    event.preventDefault();
    const where = document.createElement("input");
    where.type = "hidden";
    where.name = "go";
    where.value = link.pathname.split("/").filter(Boolean).pop();
    form.append(where);
    form.requestSubmit();
  });

  // Fields that only have a meaning with one choice are shown with it.
  const shown = [...document.querySelectorAll("[data-shown-for]")];
  const show = () => {
    const chosen = new Set([...form.querySelectorAll("[data-shows]:checked")].map((radio) => radio.dataset.shows));
    for (const part of shown) part.hidden = !part.dataset.shownFor.split(" ").some((choice) => chosen.has(choice));
  };
  form.querySelectorAll('input[name="ttl"][value="other"]').forEach((radio) => (radio.dataset.shows = "ttl-other"));
  form.addEventListener("change", show);
  show();

  // The row of a table of choices follows its radio; a size of one's own is chosen by typing it.
  form.addEventListener("change", (event) => {
    const table = event.target.closest(".sizes");
    if (!table || event.target.type !== "radio") return;
    table.querySelectorAll("tbody tr").forEach((row) => row.classList.toggle("on", row.contains(event.target)));
  });
  form.addEventListener("input", (event) => {
    if (event.target.name !== "size_mb" || !event.target.value) return;
    const other = form.querySelector('input[name="size"][value="other"]');
    other.checked = true;
    other.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // A chosen file is named with its size before it is sent.
  form.addEventListener("change", (event) => {
    const said = document.querySelector(`[data-file-said="${CSS.escape(event.target.id)}"]`);
    if (!said || !event.target.files) return;
    const file = event.target.files[0];
    said.hidden = !file;
    if (!file) return;
    const [size, unit] = file.size < 1e6 ? [file.size / 1e3, "kB"] : [file.size / 1e6, "MB"];
    const number = size.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
    said.textContent = `${file.name}, ${number} ${unit}`;
  });

  // <button data-fill="#field" data-value="text"> puts a proposal into a field.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fill]");
    if (!button) return;
    const field = document.querySelector(button.dataset.fill);
    field.value = button.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });
})();
