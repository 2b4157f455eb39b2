// The inspector's list: choose all, and the count of what is chosen. Without script the boxes work alone.
"use strict";

const all = document.querySelector("[data-all]");
const boxes = [...document.querySelectorAll('input[type="checkbox"][name="key"]')];
const count = document.querySelector("[data-count]");

function tell() {
  const chosen = boxes.filter((box) => box.checked).length;
  if (count) {
    count.textContent = `${chosen} ${count.dataset.count}`;
    count.closest(".bulk").hidden = chosen === 0;
  }
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
}

if (all) {
  all.hidden = false;
  all.addEventListener("change", () => {
    boxes.forEach((box) => (box.checked = all.checked));
    tell();
  });
}
boxes.forEach((box) => box.addEventListener("change", tell));
window.addEventListener("pageshow", tell);
tell();
