/** Elements in one call. Text becomes text nodes, never markup; there is no way to pass markup. */

export type Child = Node | string | number | null | undefined | false | readonly Child[];
type Value = string | number | boolean | null | undefined | ((event: never) => void);
/** Attributes; `onclick` and the like take listeners. No `style`: the policy forbids it. */
export type Attributes = { readonly [name: string]: Value } & { readonly style?: never };

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes | null = null,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {}) as [string, Value][]) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as never);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, children);
  return element;
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) {
      element.append(child as Node | string);
    }
  }
}
