/** Addresses → pages, without reloading; moves the focus as a loaded page would. */
import { isRefused } from './api.ts';
import { h } from './element.ts';
import type { PageMaker } from './page.ts';
import { buildsPage } from './pages/builds.ts';
import { datasetsPage } from './pages/datasets.ts';
import { newPlanPage } from './pages/new-plan.ts';
import { planPage } from './pages/plan.ts';
import { plansPage } from './pages/plans.ts';
import { samplesPage } from './pages/samples.ts';
import { snapshotPage } from './pages/snapshot.ts';
import { problemBox } from './parts/problem.ts';
import { tokenForm } from './parts/token-form.ts';
import { markCurrent } from './shell.ts';

/** Tried in this order. */
const routes: readonly (readonly [string, PageMaker])[] = [
  ['/', datasetsPage],
  ['/datasets/:dataset/snapshots/:snapshot', snapshotPage],
  ['/datasets/:dataset/snapshots/:snapshot/samples', samplesPage],
  ['/builds', buildsPage],
  ['/plans', plansPage],
  ['/plans/new', newPlanPage],
  ['/plans/:plan', planPage],
];

let leave = new AbortController();

export function startRouter(main: HTMLElement): void {
  addEventListener('popstate', () => void show(main, true));
  document.addEventListener('click', (event) => {
    const link = (event.target as Element).closest?.('a[href^="/"]');
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    if (link === null || link === undefined || !plain || event.defaultPrevented) return;
    event.preventDefault();
    history.pushState(null, '', link.getAttribute('href'));
    void show(main, true);
  });
  void show(main, false);
}

async function show(main: HTMLElement, moved: boolean): Promise<void> {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { pathname, search } = location;
  const found = match(pathname);
  markCurrent(pathname);
  main.setAttribute('aria-busy', 'true');
  try {
    const visit = { params: found.params, query: new URLSearchParams(search), signal };
    const { title, body } = await found.make(visit);
    if (!signal.aborted) put(main, { title, body, moved });
  } catch (error) {
    if (!signal.aborted) put(main, { ...failure(main, error), moved });
  }
}

function put(main: HTMLElement, shown: { title: string; body: Node; moved: boolean }): void {
  const focused = document.activeElement?.id;
  document.title = `${shown.title} – logitcask`;
  main.replaceChildren(shown.body);
  main.removeAttribute('aria-busy');
  if (!shown.moved) return;
  const same = focused ? main.querySelector<HTMLElement>(`[id="${CSS.escape(focused)}"]`) : null;
  if (same !== null) {
    same.focus();
    return;
  }
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function failure(main: HTMLElement, error: unknown): { title: string; body: Node } {
  if (isRefused(error) && error.problem.status === 401) {
    return { title: 'Token', body: tokenForm(error.problem, () => void show(main, true)) };
  }
  const body = h('div', null, h('h1', null, 'This page cannot be shown'), problemBox(error));
  return { title: 'Error', body };
}

function match(path: string): { make: PageMaker; params: Record<string, string> } {
  const parts = path.split('/');
  for (const [pattern, make] of routes) {
    const names = pattern.split('/');
    if (names.length !== parts.length) continue;
    if (!names.every((name, i) => name.startsWith(':') || name === parts[i])) continue;
    const params = names.flatMap((name, i) =>
      name.startsWith(':') ? [[name.slice(1), decodeURIComponent(parts[i])]] : [],
    );
    return { make, params: Object.fromEntries(params) };
  }
  return { make: missing, params: {} };
}

async function missing() {
  const body = h(
    'div',
    null,
    h('h1', null, 'There is no such page'),
    h('p', null, h('a', { href: '/' }, 'All data sets')),
  );
  return { title: 'No such page', body };
}
