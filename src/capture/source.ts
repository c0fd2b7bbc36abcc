/** A teacher source: an identity and a resumable stream of bounded chunks. One source a file. */
import type {
  InputField,
  LabelSpace,
  Manifest,
  Responses,
  TargetSet,
} from '../../schemas/manifest.ts';
import type { Rows } from '../distribution/rows.ts';
import type { FileRows } from './file-rows.ts';
import type { OpenLog } from './kept-scores.ts';

/** Who speaks: part of the manifest, and of the label space that sample ids are taken over. */
export interface TeacherIdentity {
  readonly name: string;
  /** Changes whenever the distributions may: a digest or a version. */
  readonly revision: string;
  /** The source's name in the table of sources, e.g. `ngram`. */
  readonly source: string;
  /** V, the size of the label space. */
  readonly vocabulary: number;
  /** SHA-256 (hex) of tokenizer.json, or null where the source has none. */
  readonly tokenizer: string | null;
  /**
   * `whole` distributions, `top-list` (then temperatures ≠ 1 are approximate), or `tokens` alone:
   * hard labels, whose rows are empty lists.
   */
  readonly reports: 'whole' | 'top-list' | 'tokens';
}

/** One sample's input side, known before its rows are. */
export interface SampleInput {
  /** Ordinal of this sample in the input, from 0: the unit of resuming. */
  readonly ordinal: number;
  /** Length n; empty for an image. */
  readonly tokens: Int32Array;
  /** Length n, 1 where position t is to be learned; 0 at n − 1 of a text. */
  readonly mask: Uint8Array;
  readonly image?: ImageInput;
  /** The id after the last token, where the source knows it: gives the last position's label. */
  readonly next?: number;
  /** JSON object: source document, prompt, generation settings. */
  readonly meta: Record<string, unknown>;
}

/** What there is of an image instead of tokens. */
export interface ImageInput {
  /** Canonical JSON of `sha256` and `uri`. */
  readonly ref: string;
  /** Little-endian values of each field of the source, positions one after the other. */
  readonly values: readonly Uint8Array[];
  /** Classes of the positions under the first head, length n, below 0 where there is none. */
  readonly labels: Int32Array;
}

/** What a teacher of images is over: a target set each. */
export interface Head {
  /** Of its target set; the first one's is the configuration's. */
  readonly name: string;
  readonly labelSpace: LabelSpace;
  readonly normalisation: TargetSet['normalisation'];
}

export interface VisionFacts {
  /** The first one's label space is that of the snapshot. */
  readonly heads: readonly Head[];
  readonly fields: readonly InputField[];
  /** SHA-256 (hex) of the description of the augmentation pipeline. */
  readonly pipeline: string | null;
}

/**
 * A run of rows of one sample. Chunks of a sample come in order and together cover all of it, once
 * for each head. The
 * values of dense rows lie at the start of memory that the caller lent; without a lender they are
 * valid until the next chunk is asked for.
 */
export interface Chunk {
  readonly sample: SampleInput;
  /** Position of the first row. */
  readonly position: number;
  readonly rows: Rows;
  /** Number of the head that gave the rows, 0 by default. */
  readonly head?: number;
}

/** A chunk whose rows may still lie in a file. */
export interface UnreadChunk extends Omit<Chunk, 'rows'> {
  readonly rows: Rows | FileRows;
}

/** 1 where a position is learned: from `first` on, and never the last, which nothing follows. */
export function maskOf(count: number, first = 0): Uint8Array {
  return new Uint8Array(count).fill(1, first, Math.max(0, count - 1));
}

/** A chunk's rows hold at most this many bytes (one row at least). */
export const chunkBytesMax = 4 * 1024 * 1024;

/** Memory for the rows of one chunk, of `bytes` or more: other threads may write and read it. */
export type Lend = (bytes: number) => SharedArrayBuffer;

/** Lends the same memory for every chunk. */
export function ownMemory(): Lend {
  let memory = new SharedArrayBuffer(0);
  return (bytes) => {
    if (memory.byteLength < bytes) memory = new SharedArrayBuffer(bytes);
    return memory;
  };
}

export interface Source {
  readonly identity: TeacherIdentity;
  /** For the manifest: origin and licence of the inputs, SHA-256 (hex) over all of them. */
  readonly inputs: Readonly<Manifest['inputs']>;
  /** Number of positions from sample 0 to the end, where it is known without scoring. */
  readonly positions?: number;
  /** Of these, how many are to be learned; not given where rows may be empty. */
  readonly learned?: number;
  /** Otherwise, how much of the input the chunks that were given out are, about: 0 to 1. */
  readonly share?: () => number;
  /** tokenizer.json, kept with the snapshot (role `tokenizer`), where the source has one. */
  readonly tokenizerJson?: Uint8Array;
  /** For the manifest: how responses were made, where the tokens are a teacher's answers. */
  readonly responses?: Responses;
  /**
   * All samples, where they are known before their rows are; not given where rows may be empty.
   */
  samples?(): Iterable<SampleInput>;
  /**
   * Yields chunks from the sample with ordinal `from` on. Deterministic: the same ordinal gives the
   * same chunk content in every run. Throws LogitcaskError before anything misaligned is yielded.
   */
  chunks(from: number, lend?: Lend): AsyncIterable<Chunk>;
  /** The same chunks, where their rows need not pass through this thread. */
  unread?(from: number): AsyncIterable<UnreadChunk>;
  /**
   * Of a teacher that is asked over a network: what it answers is kept in this log, and what the
   * log holds is not asked again. Called before `chunks`.
   */
  keepIn?(openLog: OpenLog): Promise<void>;
  /** Scores any tokens, where the source can (used by the alignment self-test). */
  score?(tokens: Int32Array): Promise<Rows>;
  /** Of a teacher of images. */
  readonly vision?: VisionFacts;
  /** Most that a later token may change a log-prob by; 1e-5 where the source does not say. */
  readonly agreement?: number;
  close(): Promise<void>;
}

/** The hard label of each row of a chunk, below 0 where there is none: for texts the next token. */
export function chunkLabels(sample: SampleInput, position: number, count: number): Int32Array {
  const { tokens, image, next = -1 } = sample;
  if (image !== undefined) return image.labels.slice(position, position + count);
  return Int32Array.from({ length: count }, (_, i) => {
    const after = position + i + 1;
    return after < tokens.length ? tokens[after] : next;
  });
}
