/** What the server needs of a teacher that is asked while it serves; src/cache/ has the cache. */
import type { TeacherIdentity } from '../capture/source.ts';
import type { TeacherHttp } from '../capture/teacher-http.ts';
import type { TextTokenizer } from '../capture/tokenizer.ts';
import type { ListRows } from '../distribution/rows.ts';

/** Where an answer came from; `shared`: from a call that another request had begun. */
export type Origin = 'cache' | 'teacher' | 'shared';

export interface ScoreAnswer {
  /** As many positions as tokens; the last one, which nothing follows, is empty. */
  readonly rows: ListRows & { readonly labelLogprob: Float32Array };
  readonly origin: Origin;
}

/** Kept beside a sequence that is scored for the first time. */
export interface ScoreNote {
  /** First position that is learned, e.g. the prompt's last one; 0 by default. */
  readonly learnedFrom?: number;
  readonly meta?: Record<string, unknown>;
}

/** The server whose scores are cached, as far as requests reach it that are not for scores. */
export interface Served {
  /** Name of the model as requests give it. */
  readonly model: string;
  readonly tokenizer: TextTokenizer;
  /** Absent where no teacher is asked. */
  readonly pass?: TeacherHttp['pass'];
}

/** For those who operate the server. */
export interface CacheLoad {
  /** Sequences that wait for the teacher. */
  readonly waiting: number;
  /** Sequences kept. */
  readonly sequences: number;
  /** Bytes of the logs. */
  readonly logBytes: number;
  /** Logs that were sealed since the start. */
  readonly seals: number;
}

export interface CachedTeacher {
  /** Name of the target set. */
  readonly name: string;
  readonly identity: TeacherIdentity;
  /** Entries of a list. */
  readonly k: number;
  /** Most tokens of a sequence, where the teacher says so. */
  readonly contextMax: number | undefined;
  readonly served: Served;
  readonly load: CacheLoad;
  /**
   * The lists of a sequence. `client`: whom they are for; clients take turns. Errors:
   * `sample-not-found` (offline), `too-many-requests`, `token-out-of-range`, `teacher-*`,
   * `store-*`.
   */
  score(tokens: Int32Array, client: unknown, note?: ScoreNote): Promise<ScoreAnswer>;
}

/** One whose answers are counted. */
export interface ObservedTeacher extends CachedTeacher {
  /** Counts a sequence that was answered from what was made of an earlier answer. */
  hit(startedMs: number): void;
}
