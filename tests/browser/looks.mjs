// What is looked at within a page; each of these functions runs there and knows nothing outside itself.

/** Why the page scrolls sideways, if it does. */
export function overflow() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return null;
  const widest = [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > width + 1).pop();
  return `it scrolls sideways: ${widest?.outerHTML.slice(0, 160)}`;
}

/** Pieces of text that lie over one another. */
export function overlaps() {
  const pieces = [];
  const isAside = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (["fixed", "sticky", "absolute"].includes(style.position) || style.clipPath !== "none") return true;
    }
    return false;
  };
  // What an element around it cuts off is not to be seen.
  const clipped = (rect, element) => {
    let { left, right, top, bottom } = rect;
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      if (getComputedStyle(at).overflow === "visible") continue;
      const around = at.getBoundingClientRect();
      left = Math.max(left, around.left);
      right = Math.min(right, around.right);
      top = Math.max(top, around.top);
      bottom = Math.min(bottom, around.bottom);
    }
    return { left, right, top, bottom };
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style, option, [hidden]") || !element.checkVisibility({ visibilityProperty: true }) || isAside(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      const piece = { ...clipped(rect, element), text: node.textContent.trim(), node };
      if (piece.right - piece.left > 1 && piece.bottom - piece.top > 1) pieces.push(piece);
    }
  }
  const found = [];
  pieces.forEach((one, index) => {
    for (const other of pieces.slice(index + 1)) {
      if (one.node === other.node) continue;
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      const height = Math.min(one.bottom - one.top, other.bottom - other.top);
      if (across > 2 && down > height * 0.4) found.push(`“${one.text.slice(0, 60)}” and “${other.text.slice(0, 60)}”`);
    }
  });
  return found.slice(0, 5);
}

/** What can have the focus without showing it. The last key has to have been Tab, or nothing shows it. */
export function unseenFocus() {
  const marks = (element) => {
    const style = getComputedStyle(element);
    return [style.outlineStyle === "none" ? "" : `${style.outlineWidth} ${style.outlineColor}`, style.boxShadow, style.borderColor, style.backgroundColor].join(";");
  };
  const selector = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const found = [];
  for (const element of document.querySelectorAll(selector)) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled || element.closest("[popover]:not(:popover-open)")) continue;
    document.activeElement?.blur();
    // A mark may stand on what is around the control, such as the label of a tab.
    const parts = [element, element.closest("label"), element.parentElement].filter(Boolean);
    const before = parts.map(marks);
    element.focus();
    if (document.activeElement !== element) continue;
    if (parts.every((part, index) => marks(part) === before[index])) found.push(element.outerHTML.slice(0, 120));
  }
  document.activeElement?.blur();
  return found.slice(0, 5);
}
