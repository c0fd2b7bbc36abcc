/** `/builds`: what is being built, as its status file tells it. */
import { get } from '../api.ts';
import { type Child, h } from '../element.ts';
import { count, duration, percent, plural, short, time } from '../format.ts';
import { snapshotPage } from '../navigate.ts';
import { type PageMaker, repeat } from '../page.ts';
import { badge } from '../parts/badge.ts';
import { problemBox } from '../parts/problem.ts';
import { table } from '../parts/table.ts';
import type { BuildStatus, DatasetList, DatasetReply } from '../types.ts';

const pollMs = 2000;
/** A build that is silent for longer has probably been killed. */
const silentMs = 60_000;

interface Build extends BuildStatus {
  readonly dataset: string;
}

interface Seen {
  readonly positions: number;
  readonly updatedMs: number;
}

export const buildsPage: PageMaker = async ({ signal }) => {
  const before = new Map<string, Seen>();
  const running = h('div');
  const ended = h('div');
  const load = async () => show({ builds: await allBuilds(signal), before, running, ended });
  await load();
  repeat(
    async () => {
      try {
        await load();
      } catch (error) {
        if (!signal.aborted) running.replaceChildren(problemBox(error));
      }
    },
    pollMs,
    signal,
  );
  const body = h(
    'div',
    null,
    h('h1', null, 'Builds'),
    h('section', { 'aria-label': 'Running' }, h('h2', null, 'Running'), running),
    h('section', { 'aria-label': 'Ended' }, h('h2', null, 'Ended'), ended),
  );
  return { title: 'Builds', body };
};

async function allBuilds(signal: AbortSignal): Promise<Build[]> {
  const names: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: DatasetList = await get<DatasetList>(`/v1/datasets?limit=1000${from}`, signal);
    names.push(...page.datasets.map(({ name }) => name));
    cursor = page.next;
  }
  const found = await Promise.all(
    names.map((name) => get<DatasetReply>(`/v1/datasets/${encodeURIComponent(name)}`, signal)),
  );
  const builds = found.flatMap(({ name, builds }) =>
    builds.map((build) => ({ ...build, dataset: name })),
  );
  return builds.sort((a, b) => b.updatedMs - a.updatedMs);
}

interface Shown {
  readonly builds: readonly Build[];
  /** How far builds were when they were last looked at. */
  readonly before: Map<string, Seen>;
  readonly running: HTMLElement;
  readonly ended: HTMLElement;
}

function show({ builds, before, running, ended }: Shown): void {
  const [goes, done] = [true, false].map((is) =>
    builds.filter(({ state }) => (state === 'running') === is),
  );
  running.replaceChildren(
    goes.length === 0
      ? h('p', { class: 'muted' }, 'No build runs.')
      : buildTable('Running builds', goes, (build) => [pace(build, before.get(build.build))]),
  );
  const known = ended.dataset.of;
  const now = JSON.stringify(done);
  ended.dataset.of = String(now.length);
  if (known !== ended.dataset.of) {
    ended.replaceChildren(
      done.length === 0
        ? h('p', { class: 'muted' }, 'None yet.')
        : buildTable('Ended builds', done, (build) => [outcome(build)]),
    );
  }
  for (const { build, positions, updatedMs } of goes) {
    const last = before.get(build);
    if (last?.updatedMs !== updatedMs) before.set(build, { positions, updatedMs });
  }
}

function buildTable(caption: string, builds: readonly Build[], last: (build: Build) => Child) {
  return table({
    caption,
    hiddenCaption: true,
    columns: [
      { name: 'Build' },
      { name: 'Data set' },
      { name: 'Samples', numeric: true },
      { name: 'Positions', numeric: true },
      { name: 'Shards', numeric: true },
      { name: 'Last sign of life' },
      { name: 'State' },
    ],
    rows: builds.map((build) => [
      h('code', null, short(build.build)),
      build.dataset,
      count(build.samples),
      positionsOf(build),
      count(build.shards),
      time(build.updatedMs),
      last(build),
    ]),
  });
}

function positionsOf({ positions, positionsTotal: total, state }: Build): Child {
  if (state !== 'running' || total === null) return count(positions);
  const value = total === 0 ? 0 : positions / total;
  return [
    `${count(positions)} of ${count(total)} `,
    h('progress', { max: '1', value, 'aria-label': `${percent(value)} of its positions` }),
  ];
}

function pace({ positions, updatedMs }: Build, last: Seen | undefined): Child {
  const silent = Date.now() - updatedMs;
  if (silent > silentMs) return badge('warning', `silent for ${duration(silent)}`);
  const running = badge('neutral', 'running');
  if (last === undefined || last.updatedMs >= updatedMs) return running;
  const rate = ((positions - last.positions) / (updatedMs - last.updatedMs)) * 1000;
  return [running, ` ${plural(Math.round(rate), 'position')}/s`];
}

function outcome({ dataset, snapshot, state, error }: Build): Child {
  if (state === 'failed') return [badge('fault', 'failed'), ' ', h('code', null, error)];
  if (snapshot === null) return badge('good', 'complete');
  const link = h('a', { href: snapshotPage(dataset, snapshot) }, h('code', null, short(snapshot)));
  return [badge('good', 'complete'), ' ', link];
}
