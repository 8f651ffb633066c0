/**
 * Makes an element. Text children become text nodes, so nothing that a server sends is ever parsed as markup.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes] null, undefined and false leave an attribute out
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * An icon of the sprite in index.html.
 *
 * @param {string} name
 */
export function icon(name) {
  return svgElement('svg', { 'aria-hidden': 'true' }, svgElement('use', { href: `#icon-${name}` }));
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svgElement(tag, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * @param {string} label
 * @param {() => void} onClick
 * @param {{icon?: string, class?: string} & Record<string, string | undefined>} [more] icon and attributes
 */
export function button(label, onClick, { icon: image, class: className = 'button small', ...attributes } = {}) {
  const made = element('button', { type: 'button', class: className, ...attributes }, image ? icon(image) : null, label);
  made.addEventListener('click', onClick);
  return made;
}

/**
 * An element of index.html; a missing one is a fault of the page, not of the data.
 *
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} type
 * @returns {E}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return found;
}

/**
 * A custom property set through the CSSOM, which a strict style-src allows (a style attribute it would refuse).
 *
 * @param {HTMLElement} target
 * @param {string} name
 * @param {string | number} value
 */
export function setVariable(target, name, value) {
  target.style.setProperty(`--${name}`, String(value));
}
