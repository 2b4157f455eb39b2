// The test form: tabs without a reload, and one input held in three views - drawing, fields and JSON.
// The JSON is what counts; the server reads it, so that everything here also works by writing JSON alone.
"use strict";

const form = document.getElementById("request");
const json = form.querySelector("[data-json]");
const tabField = form.querySelector("[data-tab]");
const pad = form.querySelector("[data-draw]");
const fields = [...form.querySelectorAll("[data-field]")];
const SVG = "http://www.w3.org/2000/svg";
const SIDE = 8;
const BRIGHTEST = 16;

form.querySelectorAll("[data-scripted]").forEach((element) => (element.hidden = false));

// --- the rows that the JSON holds --------------------------------------------------------------

function readRows() {
  let value;
  try {
    value = JSON.parse(json.value);
  } catch {
    return null;
  }
  const name = form.dataset.parameter;
  if (value && !Array.isArray(value) && Array.isArray(value[name])) return { rows: value[name], wrap: value };
  return Array.isArray(value) ? { rows: value, wrap: null } : null;
}

function writeRow(row) {
  const held = readRows() || { rows: [], wrap: null };
  const rows = [row, ...held.rows.slice(1)];
  const value = held.wrap ? { ...held.wrap, [form.dataset.parameter]: rows } : rows;
  json.value = pad && !held.wrap && rows.every(isPicture) ? matrix(rows) : JSON.stringify(value);
}

function isPicture(row) {
  return (
    Array.isArray(row) &&
    row.length === SIDE * SIDE &&
    row.every((cell) => typeof cell === "number" && cell >= 0 && cell <= BRIGHTEST)
  );
}

function matrix(rows) {
  const lines = rows.map((row) => {
    const width = Math.max(...row.map((cell) => String(cell).length));
    const cells = row.map((cell) => String(cell).padStart(width));
    const parts = [];
    for (let start = 0; start < cells.length; start += SIDE) parts.push(cells.slice(start, start + SIDE).join(","));
    return `[${parts.join(",\n  ")}]`;
  });
  return `[${lines.join(",\n ")}]`;
}

// --- tabs --------------------------------------------------------------------------------------

function show(name) {
  tabField.value = name;
  ["draw", "fields", "file"].forEach((pane) => {
    const element = document.getElementById(`pane-${pane}`);
    if (element) element.hidden = pane !== name;
  });
  document.getElementById("pane-json").hidden = name === "file";
  form.querySelectorAll("[data-pane]").forEach((link) => {
    if (link.dataset.pane === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

form.querySelectorAll("[data-pane]").forEach((link) =>
  link.addEventListener("click", (event) => {
    event.preventDefault();
    show(link.dataset.pane);
  }),
);

// --- fields ------------------------------------------------------------------------------------

function rowOfFields() {
  const values = fields.map((field) => valueOf(field));
  if ("texts" in form.dataset) return values[0];
  if (!fields[0].dataset.field) return values;
  return Object.fromEntries(fields.map((field, index) => [field.dataset.field, values[index]]));
}

// What cannot be read stays a text: the server then says what is wrong with that very field.
function valueOf(field) {
  const text = field.value.trim();
  if (field.dataset.kind === "string") return !text && "nullable" in field.dataset ? null : text;
  if (!text) return null;
  if (field.dataset.kind === "boolean") return { true: true, 1: true, false: false, 0: false }[text.toLowerCase()] ?? text;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

function fillFields() {
  const held = readRows();
  const row = held && held.rows[0];
  if ("texts" in form.dataset) {
    if (typeof row === "string") fields[0].value = row;
    return;
  }
  if (!row || typeof row !== "object") return;
  fields.forEach((field, index) => {
    const value = Array.isArray(row) ? row[index] : row[field.dataset.field];
    field.value = value === null || value === undefined ? "" : String(value);
  });
}

fields.forEach((field) =>
  field.addEventListener("input", () => {
    writeRow(rowOfFields());
    if (pad) drawRow();
  }),
);

json.addEventListener("input", () => {
  fillFields();
  if (pad) drawRow();
});

// --- the drawing pad ---------------------------------------------------------------------------

let cells = new Array(SIDE * SIDE).fill(0);
let drawRow = () => {};

if (pad) {
  const picture = pad.querySelector("g");
  const cursor = document.createElementNS(SVG, "rect");
  const live = document.getElementById("announce");
  const undo = form.querySelector("[data-undo]");
  const clear = form.querySelector("[data-clear]");
  const before = [];
  let at = 0;
  let painting = null;

  const paint = () => {
    picture.replaceChildren(
      ...cells.flatMap((cell, index) => {
        if (!cell) return [];
        const rect = document.createElementNS(SVG, "rect");
        rect.setAttribute("x", index % SIDE);
        rect.setAttribute("y", Math.floor(index / SIDE));
        rect.setAttribute("width", 1);
        rect.setAttribute("height", 1);
        rect.setAttribute("fill-opacity", cell / BRIGHTEST);
        return [rect];
      }),
    );
  };
  const keep = () => {
    before.push([...cells]);
    if (before.length > 50) before.shift();
    undo.disabled = false;
  };
  const changed = () => {
    paint();
    writeRow(cells);
    fillFields();
  };
  const raise = (x, y, value) => {
    if (x < 0 || y < 0 || x >= SIDE || y >= SIDE) return;
    const index = y * SIDE + x;
    cells[index] = Math.max(cells[index], value);
  };
  // A pen of one cell with soft edges, like the pictures the model was trained on.
  const stroke = (x, y) => {
    if (painting === "wipe") {
      cells[y * SIDE + x] = 0;
    } else {
      raise(x, y, BRIGHTEST);
      [[1, 0], [-1, 0], [0, 1], [0, -1]].forEach(([dx, dy]) => raise(x + dx, y + dy, 4));
    }
    changed();
  };
  const under = (event) => {
    const box = pad.getBoundingClientRect();
    const place = (from, size) => Math.min(SIDE - 1, Math.max(0, Math.floor((from / size) * SIDE)));
    return [place(event.clientX - box.left, box.width), place(event.clientY - box.top, box.height)];
  };
  const move = (to) => {
    at = to;
    cursor.setAttribute("x", at % SIDE);
    cursor.setAttribute("y", Math.floor(at / SIDE));
  };
  const say = () => {
    live.textContent = pad.dataset.label
      .replace("%r", Math.floor(at / SIDE) + 1)
      .replace("%c", (at % SIDE) + 1)
      .replace("%v", cells[at]);
  };

  drawRow = () => {
    const held = readRows();
    if (!held || !isPicture(held.rows[0])) return;
    cells = [...held.rows[0]];
    paint();
  };

  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    painting = event.button === 2 || event.shiftKey ? "wipe" : "paint";
    keep();
    const [x, y] = under(event);
    move(y * SIDE + x);
    stroke(x, y);
  });
  pad.addEventListener("pointermove", (event) => {
    if (painting) stroke(...under(event));
  });
  ["pointerup", "pointercancel"].forEach((name) => pad.addEventListener(name, () => (painting = null)));
  pad.addEventListener("contextmenu", (event) => event.preventDefault());

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step) {
      const x = Math.min(SIDE - 1, Math.max(0, (at % SIDE) + step[0]));
      const y = Math.min(SIDE - 1, Math.max(0, Math.floor(at / SIDE) + step[1]));
      move(y * SIDE + x);
    } else if (event.key === " ") {
      keep();
      cells[at] = cells[at] >= BRIGHTEST ? 0 : Math.min(BRIGHTEST, cells[at] + BRIGHTEST / 2);
      changed();
    } else if (event.key === "Backspace" || event.key === "Delete") {
      keep();
      cells[at] = 0;
      changed();
    } else {
      return;
    }
    event.preventDefault();
    say();
  });

  undo.addEventListener("click", () => {
    if (before.length) cells = before.pop();
    undo.disabled = !before.length;
    changed();
  });
  clear.addEventListener("click", () => {
    keep();
    cells = cells.map(() => 0);
    changed();
  });
  document.querySelectorAll("[data-rows]").forEach((thumb) =>
    thumb.addEventListener("click", (event) => {
      event.preventDefault();
      keep();
      cells = [...JSON.parse(thumb.dataset.rows)[0]];
      changed();
      document.querySelectorAll("[data-rows]").forEach((other) => other.setAttribute("aria-pressed", other === thumb));
    }),
  );

  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("width", 1);
  cursor.setAttribute("height", 1);
  move(0);
  pad.append(cursor);
  pad.dataset.ready = "1";
  pad.tabIndex = 0;
  pad.setAttribute("role", "application");
  undo.hidden = clear.hidden = false;
  undo.disabled = true;
  drawRow();
}

// --- snippets ----------------------------------------------------------------------------------

const choices = [...document.querySelectorAll("[data-snippet]")];
choices.forEach((link) =>
  link.addEventListener("click", (event) => {
    event.preventDefault();
    choices.forEach((other) => {
      const chosen = other === link;
      document.getElementById(`snippet-${other.dataset.snippet}`).hidden = !chosen;
      if (chosen) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    });
  }),
);
