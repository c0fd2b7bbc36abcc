/** Documents of the server, as its schemas state them, and rows, which have no schema. */
import type {
  auditAccepted,
  datasetList,
  datasetReply,
  problem,
  versionReply,
} from '../../schemas/http.ts';

type Output<T extends { _zod: { output: unknown } }> = T['_zod']['output'];

export type { AuditReport, Finding, Histogram, Statistics } from '../../schemas/audit.ts';
export type { Fidelity } from '../../schemas/manifest.ts';
export type { OrderDigest, PlanList, PlanReply } from '../../schemas/plan.ts';
export type { ModelInput } from '../../schemas/preprocess.ts';
export type Problem = Output<typeof problem>;
export type DatasetList = Output<typeof datasetList>;
export type DatasetReply = Output<typeof datasetReply>;
export type BuildStatus = DatasetReply['builds'][number];
export type VersionReply = Output<typeof versionReply>;

/** In place of a report that there is not yet. */
export type AuditState = Output<typeof auditAccepted>;

/** One target set of one sample, decoded; entries flattened, positions apart by `counts`. */
export interface RowTargets {
  readonly counts: readonly number[];
  readonly ids: readonly number[];
  readonly probs: readonly number[];
  /** Null: weights drawn without bias, which have no rest. */
  readonly rest: readonly number[] | null;
  readonly label_logprob: readonly (number | null)[] | null;
}

interface AnyRow {
  readonly ordinal: number;
  readonly sample_id: string;
  readonly mask: readonly boolean[];
  readonly meta: unknown;
  readonly targets: Readonly<Record<string, RowTargets>>;
}

export interface TextRow extends AnyRow {
  readonly tokens: readonly number[];
  /** Each token's own text, null where it has none; null where the snapshot has no tokenizer. */
  readonly text: readonly (string | null)[] | null;
}

export interface ImageRow extends AnyRow {
  readonly image: { readonly sha256: string; readonly uri: string };
  /** By field, an item a position: `hard_label`, `geometry`, `augmentation_seed` and the like. */
  readonly inputs: Readonly<Record<string, readonly InputItem[]>>;
}

/** NaN is null. */
type InputNumber = number | string | null;
export type InputItem = InputNumber | readonly InputNumber[];

export type Row = TextRow | ImageRow;

export interface RowsReply {
  readonly rows: readonly Row[];
  readonly total: number;
}
