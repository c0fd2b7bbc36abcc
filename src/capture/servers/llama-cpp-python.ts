/**
 * llama-cpp-python: echoed log-probs of /v1/completions. It takes text, and tells tokens by their
 * text: which entry belongs to which token is found out by asking, and texts that several ids have
 * are left out.
 */
import { LogitcaskError } from '../../errors.ts';
import { JsonScanner } from '../../formats/json-scan.ts';
import { createRowsBuilder, type RowsBuilder, unsuitable } from './rows-builder.ts';
import type { Asked, LearnContext, Reading, ServerProtocol } from './server.ts';

const path = '/v1/completions';
const learnText = 'In the beginning God created the heaven and the earth. And the earth was';
const learnK = 5;
/** Between the same distribution, computed in one batch and in another. */
const agreementMax = 0.05;

export const llamaCppPython: ServerProtocol = {
  name: 'llama-cpp-python',
  hint: 'start it with --logits_all true',
  isPartial: true,
  async facts(get) {
    const { data } = (await get('/v1/models')) as { data?: { id?: string }[] };
    const model = data?.[0]?.id;
    if (model === undefined) throw unsuitable('/v1/models', 'a model', JSON.stringify(data));
    return { model, version: 'llama-cpp-python' };
  },
  learn,
  request: (model, { tokens, k }, tokenizer) => ({
    path,
    body: bodyOf(model, { prompt: tokenizer.decode(tokens), echo: true, k }),
  }),
  parse(reply, asked, reading) {
    const scanner = new JsonScanner(reply);
    let tokens: string[] | undefined;
    let lists: [string, number][][] | undefined;
    let actual: number[] = [];
    let read: number | undefined;
    const listOf = <T>(item: () => T): T[] => {
      const items: T[] = [];
      scanner.list(() => items.push(item()));
      return items;
    };
    const list = () => {
      const entries: [string, number][] = [];
      if (!scanner.isNull()) scanner.object((text) => entries.push([text, scanner.number()]));
      return entries;
    };
    const logprobs = (part: string) => {
      if (part === 'tokens') tokens = listOf(() => scanner.string());
      else if (part === 'token_logprobs') actual = listOf(() => scanner.number());
      else if (part === 'top_logprobs' && !scanner.isNull()) lists = listOf(list);
      else scanner.skip();
    };
    const choice = (part: string) => {
      if (part === 'logprobs' && !scanner.isNull()) scanner.object(logprobs);
      else if (part !== 'logprobs') scanner.skip();
    };
    scanner.object((key) => {
      if (key === 'choices') scanner.list((i) => (i > 0 ? scanner.skip() : scanner.object(choice)));
      else if (key === 'usage') {
        scanner.object((part) => {
          if (part === 'prompt_tokens') read = scanner.number();
          else scanner.skip();
        });
      } else scanner.skip();
    });
    if (tokens === undefined || lists === undefined) throw unsuitable('the whole', 'lists', 'none');
    return rowsOf({ tokens, lists, actual, read }, asked, reading as Reading);
  },
};

const bodyOf = (model: string, { prompt, echo, k }: { prompt: string; echo: boolean; k: number }) =>
  ({ model, prompt, max_tokens: 1, temperature: 0, logprobs: k, echo }) as const;

interface Echo {
  readonly tokens: readonly string[];
  readonly lists: readonly (readonly [string, number][])[];
  /** Log-prob of each token. */
  readonly actual: readonly number[];
  /** Tokens that the server read. */
  readonly read: number | undefined;
}

function rowsOf({ tokens: texts, lists, actual, read }: Echo, asked: Asked, reading: Reading) {
  const { tokens, k } = asked;
  const n = tokens.length;
  const { strings, shift } = reading;
  if (read !== n) throw otherTokens(`${n} tokens`, read);
  if (lists.length !== texts.length) {
    throw unsuitable('top_logprobs', `a list for each of ${texts.length} tokens`, lists.length);
  }
  // the token that begins a text is read, but not told
  const isTold = (lead: number) => (_: unknown, j: number) =>
    texts[j] === strings[tokens[lead + j]];
  const lead = tokens.every(isTold(0)) ? 0 : 1;
  if (lead === 1 && (strings[tokens[0]] !== '' || !tokens.subarray(1).every(isTold(1)))) {
    const other = tokens.findIndex((id, i) => texts[i] !== strings[id]);
    throw otherTokens(JSON.stringify(strings[tokens[other]]), JSON.stringify(texts[other]));
  }
  const ids = idsOf(strings);
  const builder = createRowsBuilder(asked);
  for (let t = 0; t < n - 1; t++) {
    // of what predicts token t + 1
    const entry = t + 1 - shift - lead;
    const list = lists[entry] ?? [];
    const kept = addList(builder, list.slice(0, k), { ids, next: tokens[t + 1] });
    if (shift === 0 && kept > 0) builder.label(actual[entry]);
    if (kept > 0) builder.next();
    else builder.skip();
  }
  return builder.finish();
}

/** Returns how many entries were kept. */
function addList(
  { add, label }: RowsBuilder,
  list: readonly (readonly [string, number])[],
  { ids, next }: { ids: ReadonlyMap<string, number>; next: number },
): number {
  let kept = 0;
  for (const [text, logprob] of list) {
    const id = ids.get(text);
    if (id === undefined) throw unsuitable('a list', 'texts of tokens', JSON.stringify(text));
    if (id === several) continue;
    add(id, logprob);
    if (id === next) label(logprob);
    kept++;
  }
  return kept;
}

function otherTokens(expected: string, got: unknown): LogitcaskError {
  const message =
    `capture: the server reads a text as other tokens than were meant: expected ${expected}, got ` +
    `${got}; it takes text alone, so texts must not be cut inside words and need no special tokens`;
  return new LogitcaskError('teacher-unsuitable', message, { expected, got: String(got) });
}

const several = -1;
const known = new WeakMap<readonly string[], ReadonlyMap<string, number>>();

/** The id of each text, or `several`: in replies of those one value stands for all. */
function idsOf(strings: readonly string[]): ReadonlyMap<string, number> {
  const found = known.get(strings);
  if (found !== undefined) return found;
  const ids = new Map<string, number>();
  for (const [id, text] of strings.entries()) ids.set(text, ids.has(text) ? several : id);
  known.set(strings, ids);
  return ids;
}

interface Reply {
  choices?: { logprobs?: { top_logprobs?: (Record<string, number> | null)[] } }[];
}

/**
 * Asks for a text with its echo, and for what follows it: where the last echoed list is the first
 * of the answer, entries are one late.
 */
async function learn({ model, tokenizer, ask }: LearnContext): Promise<Reading> {
  const listsOf = async (echo: boolean) => {
    const body = bodyOf(model, { prompt: learnText, echo, k: learnK });
    const reply = JSON.parse(Buffer.from(await ask({ path, body })).toString()) as Reply;
    const lists = reply.choices?.[0]?.logprobs?.top_logprobs;
    if (lists !== undefined) return lists;
    const message =
      "capture: llama-cpp-python's reply holds no log-probs; start it with --logits_all true";
    throw new LogitcaskError('teacher-unsuitable', message, { expected: 'logprobs', got: 'none' });
  };
  const echoed = await listsOf(true);
  const [following] = await listsOf(false);
  const strings = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.decode([id]));
  const last = tokenizer.encode(learnText).length - 1;
  if (agrees(echoed[last], following)) return { strings, shift: 1 };
  if (agrees(echoed[last + 1], following)) return { strings, shift: 0 };
  const message =
    'capture: what llama-cpp-python echoes fits neither the token of an entry nor the next one; ' +
    'take another server, or a version of it that does';
  throw new LogitcaskError('source-misaligned', message, {
    expected: following,
    got: echoed.slice(last),
  });
}

type List = Record<string, number> | null | undefined;

/** The first has all that the second has; it may also have the token of its entry. */
function agrees(echoed: List, following: List): boolean {
  const entries = Object.entries(following ?? {});
  return (
    entries.length > 0 &&
    entries.every(([text, value]) => Math.abs((echoed?.[text] ?? 100) - value) <= agreementMax)
  );
}
