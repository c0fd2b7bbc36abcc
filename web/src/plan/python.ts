/** The Python lines that train on a plan: by its id, and by the arguments that make it anew. */
import type { PlanReply } from '../types.ts';

export interface LinesOptions {
  /** Of the server. */
  readonly url: string;
  /** What the streams can be sent in: `frames`, the client's default, from codec `planes` alone. */
  readonly layout: 'frames' | 'plain';
}

/** Any number of ranks: the plan fixes the batch of all. */
export function linesByPlan({ plan }: PlanReply, { url, layout }: LinesOptions): string {
  return lines([text(url), `plan=${text(plan)}`, ...layoutOf(layout)]);
}

/** Makes the same plan in the same store, and in any other with the same samples. */
export function linesByArguments(reply: PlanReply, { url, layout }: LinesOptions): string {
  const { identity, rules } = reply;
  const { shuffle, tail, epoch_size, stop } = identity;
  return lines([
    text(url),
    ...source(reply),
    `global_batch_size=${identity.global_batch}`,
    ...(shuffle.mode === 'none' ? ['shuffle=False'] : []),
    ...(shuffle.mode === 'block' ? [`shuffle_block_size=${shuffle.block}`] : []),
    ...(identity.seed === '0' ? [] : [`shuffle_seed=${identity.seed}`]),
    ...(epoch_size === null ? [] : [`epoch_size=${epoch_size}`]),
    ...(stop === 'all' ? [] : [`stop=${text(stop)}`]),
    ...(tail === 'drop' ? ['drop_last=True'] : []),
    ...(tail === 'pad' ? ['pad_last=True'] : []),
    ...(rules.packing === null ? [] : [`packing=${literal(rules.packing)}`]),
    ...(rules.filter === null ? [] : [`filter=${literal(rules.filter)}`]),
    ...layoutOf(layout),
  ]);
}

const layoutOf = (layout: LinesOptions['layout']) =>
  layout === 'frames' ? [] : [`layout=${text(layout)}`];

function source({ identity, streams }: PlanReply): string[] {
  const named = streams.map(({ dataset, snapshot }, i) => {
    const { content_id: _, ...share } = identity.streams[i];
    return { dataset, snapshot, ...share };
  });
  const [only] = named;
  if (named.length === 1 && Object.keys(only).length === 2) {
    return [text(only.dataset), `snapshot=${text(only.snapshot)}`];
  }
  const rows = named.map((stream) => `        ${literal(stream)},\n`).join('');
  return [`streams=[\n${rows}    ]`];
}

function lines(parts: readonly string[]): string {
  const given = parts.map((part) => `    ${part},\n`).join('');
  return [
    'from logitcask import LogitDataset',
    '',
    `dataset = LogitDataset(\n${given})`,
    'for batch in dataset:',
    '    ...',
  ].join('\n');
}

/** What JSON and Python write alike: strings, whole numbers, lists and mappings of them. */
type Literal =
  | string
  | number
  | undefined
  | readonly Literal[]
  | { readonly [name: string]: Literal };

function literal(value: Literal): string {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  const members = Object.entries(value as Record<string, Literal>).flatMap(([name, member]) =>
    member === undefined ? [] : [`${text(name)}: ${literal(member)}`],
  );
  return `{${members.join(', ')}}`;
}

/** A JSON string is a Python string, but for pairs of surrogates written as escapes: none are. */
const text = (value: string) => JSON.stringify(value);
