/** The public API in pipeline order: the table of contents. */

// audit
export { type AuditOptions, auditSnapshot } from './audit/audit.ts';
export { distributionReports, distributions } from './audit/distributions.ts';
export { measureDrift } from './audit/drift.ts';
export { findingsOf } from './audit/findings.ts';
export { checkImages, type ImagesReport } from './audit/images.ts';
export { readAudit } from './audit/report-file.ts';
export { measureSize } from './audit/size.ts';
export { verifySnapshot } from './audit/verify.ts';
export { planStorage, type StoragePlan } from './build/plan-storage.ts';
// shard and store
export { type BuildOptions, type BuildReport, build } from './build.ts';
// capture
export { checkAlignment } from './capture/alignment.ts';
export type { Chunk, SampleInput, Source, TeacherIdentity } from './capture/source.ts';
export { openSource } from './capture/table.ts';
// plan and serve
export { openClient } from './client/client.ts';
export { exportSnapshot, importSnapshot } from './convert.ts';
export type { DenseRows, FloatType, ListRows, Rows } from './distribution/rows.ts';
// sparsify
export type { DecodedTargets, Targets } from './distribution/targets.ts';
// encode
export type { Codec } from './encode/codec.ts';
export { checkFrame } from './encode/frame.ts';
export { decodeFrame, decodePlanes, encodePlanes } from './encode/planes.ts';
export { createCodec, openCodec } from './encode/table.ts';
// errors
export { type ErrorCode, errors, LogitcaskError } from './errors.ts';
export { type LabelOptions, type LabelReport, label } from './label.ts';
export { startServer } from './serve/server.ts';
export { openSnapshot } from './shard/open-snapshot.ts';
export type { SnapshotReader } from './shard/reader.ts';
export { resolveSnapshot } from './shard/snapshot.ts';
export type { Sparsifier, SparsifyContext } from './sparsify/sparsifier.ts';
export { createSparsifier } from './sparsify/table.ts';
export type { Store } from './store/store.ts';
export { openStore } from './store/table.ts';
