/**
 * Small helpers over the DOM. The page is updated in place, every ten seconds: only what differs is
 * written, so that focus, selection and scroll position stay and nothing flickers.
 */

type Attributes = Record<string, string>;

/** A new element with attributes and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The element of the page with an id; the page and its script are one piece, so it is there. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no #${id}`);
  return element;
}

export function setText(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A piece of the page for one item of a list. */
export interface Piece<T> {
  root: HTMLElement;
  update: (item: T) => void;
}

/** Keeps the children of an element in step with a list: same key, same element. */
export class KeyedChildren<T> {
  private pieces = new Map<string, Piece<T>>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly keyOf: (item: T) => string,
    private readonly create: (item: T) => Piece<T>,
  ) {}

  update(items: readonly T[]): void {
    const focused = document.activeElement;
    const pieces = new Map<string, Piece<T>>();
    let next = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.keyOf(item);
      const piece = this.pieces.get(key) ?? this.create(item);
      piece.update(item);
      pieces.set(key, piece);
      if (piece.root === next) next = next.nextElementSibling;
      else this.parent.insertBefore(piece.root, next);
    }
    for (const [key, { root }] of this.pieces) {
      if (!pieces.has(key)) root.remove();
    }
    this.pieces = pieces;
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement) {
      if (this.parent.contains(focused)) focused.focus({ preventScroll: true });
    }
  }

  get(key: string): HTMLElement | undefined {
    return this.pieces.get(key)?.root;
  }
}
