/** What surrounds every page: navigation, the switch of colours, the server's version. */
import { get } from './api.ts';
import { h } from './element.ts';
import type { VersionReply } from './types.ts';

const themeKey = 'logitcask-theme';
const sections = [
  ['/', 'Data sets', /^\/($|datasets\/)/],
  ['/builds', 'Builds', /^\/builds/],
  ['/plans', 'Plans', /^\/plans/],
] as const;
const themes = { system: 'as the system', light: 'light', dark: 'dark' } as const;
type Theme = keyof typeof themes;

export function buildShell(header: HTMLElement, footer: HTMLElement): void {
  apply(stored());
  header.append(
    h('a', { class: 'brand', href: '/' }, 'logitcask'),
    h(
      'nav',
      { 'aria-label': 'Console' },
      sections.map(([href, name]) => h('a', { href }, name)),
    ),
    themeSwitch(),
  );
  const version = h('span', null, 'logitcask');
  footer.append(version);
  get<VersionReply>('/version').then(
    (reply) => version.replaceChildren(`logitcask ${reply.version}, format ${reply.format}`),
    () => undefined, // a page says why, where it matters
  );
}

/** Marks the section of the page in the navigation. */
export function markCurrent(path: string): void {
  for (const [href, , pattern] of sections) {
    const link = document.querySelector(`nav a[href="${href}"]`);
    if (pattern.test(path)) link?.setAttribute('aria-current', 'page');
    else link?.removeAttribute('aria-current');
  }
}

function themeSwitch(): HTMLElement {
  const select = h(
    'select',
    {
      id: 'theme',
      onchange: () => {
        const theme = select.value as Theme;
        localStorage.setItem(themeKey, theme);
        apply(theme);
      },
    },
    Object.entries(themes).map(([value, name]) => h('option', { value }, name)),
  );
  select.value = stored();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', announce);
  return h('label', { class: 'theme' }, 'Colours ', select);
}

function stored(): Theme {
  const theme = localStorage.getItem(themeKey);
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  announce();
}

/** Canvases are painted again. */
function announce(): void {
  document.dispatchEvent(new Event('colourschange'));
}
