// What any page has to hold whatever it shows; gives a list of sentences, empty when all is well.
() => {
  const found = [];
  const say = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 160)}`);
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const byId = (ids) => (ids || "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id));

  if (!document.documentElement.lang) found.push("the page names no language");
  if (document.querySelectorAll("h1").length !== 1) found.push("a page has one h1");
  if (!document.title.includes("|")) found.push("the title names no page");
  if (document.documentElement.scrollWidth > window.innerWidth)
    found.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${window.innerWidth}`);

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => found.push(`the id ${id} is there twice`));

  for (const name of ["aria-describedby", "aria-labelledby", "aria-controls"])
    for (const element of document.querySelectorAll(`[${name}]`))
      if (byId(element.getAttribute(name)).includes(null)) say(`${name} names nothing`, element);
  for (const use of document.querySelectorAll("use"))
    if (!document.getElementById((use.getAttribute("href") || "").slice(1))) say("an icon that is not there", use);
  for (const label of document.querySelectorAll("label[for]"))
    if (!document.getElementById(label.htmlFor)) say("a label for nothing", label);

  const named = (element) =>
    element.getAttribute("aria-label") ||
    byId(element.getAttribute("aria-labelledby")).some((other) => other && other.textContent.trim()) ||
    [...(element.labels || [])].some((label) => label.textContent.trim());
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!named(field)) say("a field without a name", field);
  for (const control of document.querySelectorAll("button, a[href], summary"))
    if (!control.getAttribute("aria-hidden") && !named(control) && !control.textContent.trim())
      say("a control without a name", control);
  for (const field of document.querySelectorAll("[aria-invalid=true]"))
    if (!field.getAttribute("aria-describedby")) say("an error that is not tied to its field", field);
  for (const group of document.querySelectorAll("[role=radiogroup], [role=group], nav, table, section[aria-labelledby]"))
    if (group.matches("[role=radiogroup], [role=group], nav") && !named(group)) say("a group without a name", group);
  for (const picture of document.querySelectorAll("svg"))
    if (!picture.querySelector("symbol") && !picture.getAttribute("aria-hidden") && !(picture.hasAttribute("role") && picture.hasAttribute("aria-label")))
      say("a picture that is neither decoration nor told", picture);

  // Contrast of every text against what lies behind it.
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (known.has(colour)) return known.get(colour);
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    known.set(colour, context.getImageData(0, 0, 1, 1).data);
    return known.get(colour);
  };
  const light = (colour) => {
    const [red, green, blue] = [...colour].slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return rgba("Canvas");
  };
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !visible(element) || element.closest("svg, [aria-disabled=true], :disabled, option")) continue;
    const [one, other] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) say(`a contrast of ${contrast.toFixed(1)}`, element);
  }

  // What is touched is 24 px in both directions; a link within a sentence is as high as its line.
  for (const control of document.querySelectorAll("button, select, input:not([type=hidden]), textarea, .btn, summary")) {
    if (!visible(control) || control.matches(".visually-hidden, .seg input, [tabindex='-1']")) continue;
    const box = (control.labels && control.labels.length && control.matches("[type=radio], [type=checkbox]")
      ? control.labels[0] : control).getBoundingClientRect();
    if (box.height < 23.5 || box.width < 23.5) say(`a target of ${box.width.toFixed(0)} by ${box.height.toFixed(0)} px`, control);
  }
  return found;
}
