/** Reads a snapshot by position: no file is read whole, and memory is bounded by named limits. */
import type { Manifest } from '../../schemas/manifest.ts';
import type { Column, ColumnType } from '../formats/layout.ts';

export interface SnapshotReader {
  readonly id: string;
  readonly manifest: Manifest;
  /** Columns of the shards, in stored order. */
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Rows of the samples with these ordinals, in this order, one Column a name asked for. */
  read(ordinals: readonly number[], names: readonly string[]): Promise<Record<string, Column>>;
  /** The same in as many parts as there were to read, so that nothing is joined. */
  parts(ordinals: readonly number[], names: readonly string[]): Promise<Record<string, Column>[]>;
  /** Sample ids of ordinals [from, to), 16 bytes each. */
  sampleIds(from: number, to: number): Promise<Uint8Array>;
  /** Ordinal of a sample id (16 bytes), or undefined. */
  find(sampleId: Uint8Array): Promise<number | undefined>;
  close(): Promise<void>;
}
