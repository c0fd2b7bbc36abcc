/**
 * The live cache of one teacher: what was scored once is answered from a log or a sealed snapshot,
 * also where a longer sequence was; what was not is asked once, and durable before it is answered.
 */
import type { Scored } from '../capture/scored.ts';
import { sequenceKey } from '../capture/scored.ts';
import type { Scorer } from '../capture/server-source.ts';
import type { TeacherIdentity } from '../capture/source.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import type {
  CachedTeacher,
  CacheLoad,
  Origin,
  ScoreAnswer,
  ScoreNote,
  Served,
} from '../serve/cached-teacher.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { type CachedRows, labelled, prefixOf } from './cached-rows.ts';
import { createFairTurns, type FairTurns } from './fair-turns.ts';
import { PrefixIndex, sharedLength } from './prefix-index.ts';
import { type CacheRecord, decodeCacheRecord, encodeCacheRecord } from './record.ts';
import { allSealedTokens, readSealed, sealedTokens } from './sealed.ts';
import { type Segment, Segments } from './segments.ts';

/** Where a sequence lies: in a log, or in the sealed snapshot. */
type Place = { readonly segment: number; readonly offset: number } | { readonly ordinal: number };

/** Of a record whose tokens another sequence begins with. */
const covered: Place = { segment: -1, offset: -1 };

const tokenBytesMax = 16 * 1024 * 1024;

export interface CacheOptions {
  readonly store: Store;
  /** Folder of the logs. */
  readonly folder: string;
  /** Name of the target set. */
  readonly name: string;
  readonly identity: TeacherIdentity;
  readonly k: number;
  readonly contextMax?: number;
  readonly served: Served;
  /** Asks the teacher; absent: nothing is asked, only what is cached is answered. */
  readonly teacher?: Pick<Scorer, 'scoreAll' | 'fits'>;
  readonly concurrency: () => number;
  readonly limits: {
    /** Sequences that wait for the teacher. */
    readonly waiting_max: number;
    /** Sequences kept, sealed or not. */
    readonly sequences_max: number;
    /** Answers kept in memory, bytes. */
    readonly memory_bytes_max: number;
  };
}

export class TeacherCache implements CachedTeacher {
  readonly name: string;
  readonly identity: TeacherIdentity;
  readonly k: number;
  readonly contextMax: number | undefined;
  readonly served: Served;
  readonly segments: Segments;
  readonly #options: CacheOptions;
  readonly #turns: FairTurns<Int32Array, ListRows> | undefined;
  readonly #index = new PrefixIndex((sequence) => this.#tokensOf(sequence));
  readonly #places: Place[] = [];
  readonly #flights = new Map<string, Promise<{ rows: CachedRows; origin: Origin }>>();
  readonly #kept;
  readonly #tokens = createLru<Int32Array>(tokenBytesMax);
  readonly #keeping = new Set<Promise<void>>();
  #sealed: { reader: SnapshotReader; samples: number } | undefined;
  #seals = 0;

  private constructor(options: CacheOptions, segments: Segments) {
    this.#options = options;
    this.name = options.name;
    this.identity = options.identity;
    this.k = options.k;
    this.contextMax = options.contextMax;
    this.served = options.served;
    this.segments = segments;
    const { teacher, concurrency: limit, limits } = options;
    this.#turns =
      teacher &&
      createFairTurns({
        limit,
        waitingMax: limits.waiting_max,
        fits: teacher.fits,
        call: teacher.scoreAll,
      });
    this.#kept = createLru<Scored>(options.limits.memory_bytes_max);
  }

  /** Takes in what is sealed, then the logs. */
  static async open(options: CacheOptions, sealed?: SnapshotReader): Promise<TeacherCache> {
    const found: { place: Place; tokens: Int32Array }[] = [];
    const segments = await Segments.open(
      options.store,
      options.folder,
      (segment, offset, record) => {
        const { tokens } = decodeCacheRecord(record).scored;
        found.push({ place: { segment, offset }, tokens });
      },
    );
    const cache = new TeacherCache(options, segments);
    if (sealed !== undefined) {
      cache.seal(sealed);
      let ordinal = 0;
      for await (const tokens of allSealedTokens(sealed))
        await cache.#add({ ordinal: ordinal++ }, tokens);
    }
    for (const { place, tokens } of found) await cache.#add(place, tokens);
    return cache;
  }

  get load(): CacheLoad {
    return {
      waiting: this.#turns?.waiting ?? 0,
      sequences: this.#places.length,
      logBytes: this.segments.bytes,
      seals: this.#seals,
    };
  }

  async score(tokens: Int32Array, client: unknown, note: ScoreNote = {}): Promise<ScoreAnswer> {
    checkTokens(tokens, this);
    const key = sequenceKey(tokens);
    const begun = this.#flights.get(key);
    if (begun !== undefined) {
      return begun.then(({ rows, origin }) => ({
        rows,
        origin: origin === 'teacher' ? 'shared' : origin,
      }));
    }
    const flight = this.#answer(tokens, client, note).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  async #answer(tokens: Int32Array, client: unknown, note: ScoreNote): Promise<ScoreAnswer> {
    const found = await this.#find(tokens);
    if (found !== undefined) return { rows: found, origin: 'cache' };
    if (this.#turns === undefined) throw notCached(tokens);
    if (this.#places.length >= this.#options.limits.sequences_max) throw full(this.#places.length);
    const rows = await this.#turns.take(client, tokens);
    const scored = { tokens, k: this.k, rows };
    await this.#keep({ scored, learnedFrom: note.learnedFrom ?? 0, meta: note.meta ?? {} });
    return { rows: labelled(rows), origin: 'teacher' };
  }

  #keep(record: CacheRecord): Promise<void> {
    const { number, log } = this.segments.active;
    const kept = log
      .append(encodeCacheRecord(record))
      .then((offset) => this.#add({ segment: number, offset }, record.scored.tokens));
    this.#keeping.add(kept);
    return kept.finally(() => this.#keeping.delete(kept));
  }

  /** Begins a new log; what goes into the one before is in it when this resolves. */
  async rotate(): Promise<void> {
    await this.segments.rotate();
    await Promise.allSettled(this.#keeping);
  }

  async #add(place: Place, tokens: Int32Array): Promise<void> {
    const sequence = this.#places.push(place) - 1;
    if (!(await this.#index.add(sequence, tokens))) this.#places[sequence] = covered;
  }

  async #find(tokens: Int32Array): Promise<CachedRows | undefined> {
    const sequence = this.#index.candidate(tokens);
    if (sequence === undefined) return undefined;
    const { tokens: stored, rows } = await this.#read(sequence);
    if (sharedLength(stored, tokens) < tokens.length) return undefined;
    return stored.length === tokens.length ? labelled(rows) : prefixOf(rows, tokens.length);
  }

  async #read(sequence: number): Promise<Scored> {
    const known = this.#kept.get(String(sequence));
    if (known !== undefined) return known;
    const place = this.#places[sequence];
    try {
      const scored = await ('ordinal' in place ? this.#readSealed(place) : this.#readLog(place));
      const { tokens, rows } = scored;
      this.#kept.set(String(sequence), scored, 12 * tokens.length + 8 * rows.ids.length);
      return scored;
    } catch (error) {
      if (this.#places[sequence] === place) throw error;
      return this.#read(sequence); // sealed meanwhile
    }
  }

  async #readLog({ segment, offset }: { segment: number; offset: number }): Promise<Scored> {
    return decodeCacheRecord(await this.segments.read(segment, offset)).scored;
  }

  async #readSealed({ ordinal }: { ordinal: number }): Promise<Scored> {
    const { reader } = this.#sealed as { reader: SnapshotReader };
    const set = reader.manifest.target_sets.find(({ name }) => name === this.name);
    if (set === undefined) throw new LogitcaskError('internal', `score: no set ${this.name}`);
    return { ...(await readSealed(reader, set, ordinal)), k: this.k };
  }

  /** Forks of the index are few: the same sequences are asked for again and again. */
  async #tokensOf(sequence: number): Promise<Int32Array> {
    const known = this.#tokens.get(String(sequence));
    if (known !== undefined) return known;
    const place = this.#places[sequence];
    const tokens =
      'ordinal' in place && this.#sealed !== undefined
        ? await sealedTokens(this.#sealed.reader, place.ordinal)
        : (await this.#read(sequence)).tokens;
    this.#tokens.set(String(sequence), tokens, tokens.byteLength);
    return tokens;
  }

  /** Sequences of a segment that the index leads to, in the order of their records. */
  offsetsIn({ number }: Segment): number[] {
    return this.#places.flatMap((place) =>
      'segment' in place && place.segment === number ? [place.offset] : [],
    );
  }

  /**
   * Reads from a later snapshot from now on; the samples that it has more are those of `offsets`,
   * in this order.
   */
  seal(reader: SnapshotReader, moved?: { segment: number; offsets: readonly number[] }) {
    const before = this.#sealed;
    this.#sealed = { reader, samples: reader.manifest.totals.samples };
    if (moved !== undefined) {
      this.#seals++;
      const ordinals = new Map(
        moved.offsets.map((offset, i) => [offset, (before?.samples ?? 0) + i]),
      );
      for (const [sequence, place] of this.#places.entries()) {
        const ordinal =
          'segment' in place && place.segment === moved.segment
            ? ordinals.get(place.offset)
            : undefined;
        if (ordinal !== undefined) this.#places[sequence] = { ordinal };
      }
    }
    void before?.reader.close();
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#flights.values());
    await this.segments.close();
    await this.#sealed?.reader.close();
  }
}

function checkTokens(tokens: Int32Array, { identity, contextMax }: CachedTeacher): void {
  const width = identity.vocabulary;
  const outside = tokens.findIndex((id) => !(id >= 0 && id < width));
  if (outside >= 0) {
    const message = `score: token ${tokens[outside]} at ${outside} is outside V = ${width}`;
    const expected = `0 … ${width - 1}`;
    throw new LogitcaskError('token-out-of-range', message, { expected, got: tokens[outside] });
  }
  const most = contextMax === undefined ? 2 ** 20 : contextMax - 1;
  if (tokens.length >= 2 && tokens.length <= most) return;
  const message = `score: ${identity.name} cannot score a sequence of ${tokens.length} tokens`;
  const details = { expected: `2 to ${most} tokens`, got: tokens.length };
  throw new LogitcaskError('request-invalid', message, details);
}

function notCached(tokens: Int32Array): LogitcaskError {
  const message = `score: a sequence of ${tokens.length} tokens is not in the cache`;
  return new LogitcaskError('sample-not-found', message, { got: sequenceKey(tokens) });
}

function full(sequences: number): LogitcaskError {
  const message = `score: ${sequences} sequences are the limit; raise cache.sequences_max`;
  return new LogitcaskError('store-full', message, {
    expected: `below ${sequences}`,
    got: sequences,
  });
}
