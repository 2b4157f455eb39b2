// The live log: follows the newest line until the reader scrolls away.
"use strict";

const follow = document.getElementById("follow");
document.querySelectorAll("[data-script]").forEach((element) => (element.hidden = false));

const log = () => document.getElementById("log");
const atEnd = (list) => list.scrollHeight - list.scrollTop - list.clientHeight < 32;
const toEnd = () => {
  const list = log();
  if (follow.checked && list) list.scrollTop = list.scrollHeight;
};

if (!location.hash) toEnd();
follow.addEventListener("change", toEnd);
document.addEventListener("htmx:afterSettle", toEnd);
document.addEventListener(
  "scroll",
  (event) => {
    if (event.target.id === "log") follow.checked = atEnd(event.target);
  },
  true,
);
