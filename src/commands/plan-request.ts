/** Flags of `plan create` as the request that a server takes. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PlanRequest, planRequest } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { wholeNumber } from './command.ts';

export interface RequestFlags {
  readonly seed: string;
  readonly batch: number;
  readonly shuffle: PlanRequest['shuffle'];
  readonly epochSize?: number;
  readonly stop: PlanRequest['stop'];
  readonly tail: PlanRequest['tail'];
  readonly minPositions?: number;
  readonly maxPositions?: number;
  readonly minLearned?: number;
  readonly maxLearned?: number;
  readonly meta?: { field: string; in: (string | number)[] };
  readonly pack?: number;
  readonly window?: number;
}

type Stream = PlanRequest['streams'][number];

const wholeText = wholeNumber(0, Number.MAX_SAFE_INTEGER);

export function addRequestFlags(command: Command): Command {
  return command
    .option('--seed <n>', 'seed of the shuffle', seedText, '0')
    .option('--batch <n>', 'samples, or packs, of a step over all ranks', wholeText, 8)
    .option('--shuffle <mode>', 'none, global, or block:N', shuffleText, { mode: 'global' })
    .option('--epoch-size <n>', 'items of an epoch', wholeText)
    .addOption(
      new Option('--stop <when>', 'with proportions: until the first, or all streams are seen')
        .choices(['first', 'all'])
        .default('all'),
    )
    .addOption(
      new Option('--tail <how>', 'the last step where it is not full')
        .choices(['short', 'pad', 'drop'])
        .default('short'),
    )
    .option('--min-positions <n>', 'keep samples of at least so many positions', wholeText)
    .option('--max-positions <n>', 'keep samples of at most so many positions', wholeText)
    .option('--min-learned <n>', 'keep samples with at least so many learned positions', wholeText)
    .option('--max-learned <n>', 'keep samples with at most so many learned positions', wholeText)
    .option('--meta <field=values>', 'keep samples whose meta has one of the values', metaText)
    .option('--pack <length>', 'pack short samples into so many positions', wholeText)
    .option('--window <n>', 'packs that are open at a time', wholeText);
}

export function seedText(text: string): string {
  if (/^(0|[1-9]\d{0,19})$/.test(text) && BigInt(text) < 1n << 64n) return text;
  throw new InvalidArgumentError('give a whole number below 2^64');
}

function shuffleText(text: string): PlanRequest['shuffle'] {
  if (text === 'none' || text === 'global') return { mode: text };
  const block = /^block:([1-9]\d*)$/.exec(text)?.[1];
  if (block !== undefined) return { mode: 'block', block: Number(block) };
  throw new InvalidArgumentError('give none, global or block:N');
}

/** `source=a,b`: values that are whole numbers are taken for numbers and for texts. */
function metaText(text: string): { field: string; in: (string | number)[] } {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('give field=value,value');
  const values = text.slice(at + 1).split(',');
  const numbers = values.filter((value) => /^-?\d{1,15}$/.test(value)).map(Number);
  return { field: text.slice(0, at), in: [...values, ...numbers] };
}

/** `name`, `name@tag`, and a share: `name:proportion=3`, `:repeat=2`, `:choose=1000`. */
export function streamOf(text: string): Stream {
  const match = /^([^@:]+)(?:@([^:]+))?(?::(proportion|repeat|choose)=([1-9]\d*))?$/.exec(text);
  if (match === null) {
    throw new LogitcaskError('request-invalid', `plan: ${text} names no data set`, {
      expected: 'name, name@snapshot, name:proportion=3, name:repeat=2 or name:choose=1000',
      got: text,
    });
  }
  const [, dataset, snapshot = 'latest', share, amount] = match;
  return { dataset, snapshot, ...(share === undefined ? {} : { [share]: Number(amount) }) };
}

/** Throws `request-invalid`. */
export function requestOf(datasets: readonly string[], flags: RequestFlags): PlanRequest {
  const { minPositions, maxPositions, minLearned, maxLearned, meta, pack, window } = flags;
  const positions = rangeOf(minPositions, maxPositions);
  const learned = rangeOf(minLearned, maxLearned);
  const filter = {
    ...(positions && { positions }),
    ...(learned && { learned }),
    ...(meta && { meta }),
  };
  if (window !== undefined && pack === undefined) {
    throw new LogitcaskError('request-invalid', 'plan: --window goes with --pack', { got: window });
  }
  const parsed = planRequest.safeParse({
    streams: datasets.map(streamOf),
    seed: flags.seed,
    shuffle: flags.shuffle,
    global_batch: flags.batch,
    epoch_size: flags.epochSize ?? null,
    stop: flags.stop,
    tail: flags.tail,
    filter: Object.keys(filter).length === 0 ? null : filter,
    packing: pack === undefined ? null : { length: pack, window },
  });
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  throw new LogitcaskError('request-invalid', `plan: ${path.join('.')}: ${message}`);
}

function rangeOf(min?: number, max?: number) {
  return min === undefined && max === undefined ? undefined : { min, max };
}
