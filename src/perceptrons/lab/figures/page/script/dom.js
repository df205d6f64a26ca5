// Elements of the page. Whatever comes from a run is set as text or as an attribute, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

// the way that an arrow key goes on the axes of a plane
export const ARROWS = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Give an element attributes; those that begin with "on" are listeners. */
export function fill(made, attributes, ...children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An HTML element. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, ...children);
}

/** An SVG element. */
export function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, ...children);
}

export const byId = (id) => document.getElementById(id);

/** Tell what is pointed at: in a box beside the pointer, and to screen readers. */
export function tell(text, event) {
  const box = byId("tip");
  box.textContent = text;
  box.hidden = !text;
  if (!text) return;
  const target = event?.target?.getBoundingClientRect?.();
  const [x, y] = event?.clientX
    ? [event.clientX, event.clientY]
    : [target?.right ?? 0, target?.top ?? 0];
  const left = Math.min(x + 14, document.documentElement.clientWidth - box.offsetWidth - 8);
  const top = y + 18 + box.offsetHeight > window.innerHeight ? y - box.offsetHeight - 10 : y + 18;
  box.style.left = `${Math.max(4, left) + window.scrollX}px`;
  box.style.top = `${top + window.scrollY}px`;
}

/** Draw before the next picture on the screen, once however often it is asked for. */
export function onceAFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
