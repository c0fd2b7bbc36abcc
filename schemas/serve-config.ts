/** What `logitcask serve` reads: where it listens, who may ask, and every limit. */
import { z } from 'zod';
import { name, sha256, targetSetName } from './common.ts';
import { scoringServer } from './teacher-server.ts';

export const scope = z.enum(['read', 'write', 'admin']);

/** A teacher behind a server that scores given texts, asked for what is not cached. */
export const cachedTeacher = z.strictObject({
  type: z.enum(['vllm', 'sglang']),
  ...scoringServer,
});

export const cacheConfig = z.strictObject({
  /** Data set that the scores are sealed into. */
  dataset: name.default('live').describe('data set of what is scored on request'),
  tag: name.default('latest'),
  /** Answers from the cache alone, and asks no teacher. */
  offline: z.boolean().default(false),
  licence: z.string().default('unknown'),
  /** A log of this size is sealed into a snapshot; so is one after this time. */
  seal_bytes: z
    .int()
    .min(4096)
    .default(64 * 1024 * 1024),
  seal_ms: z.int().min(100).default(600_000),
  /** Sequences that wait for a teacher. */
  waiting_max: z.int().positive().default(65_536),
  /** Sequences kept, about 200 bytes of memory each. */
  sequences_max: z.int().positive().default(1_000_000),
  /** Answers kept in memory. */
  memory_bytes_max: z
    .int()
    .positive()
    .default(64 * 1024 * 1024),
  /** Answers kept as the JSON that clients of vLLM read. */
  text_bytes_max: z
    .int()
    .positive()
    .default(64 * 1024 * 1024),
  /** Other temperatures than 1 from top lists, for clients of vLLM; otherwise refused. */
  approximate_temperatures: z.boolean().default(false),
  /** What is generated through this server is scored and kept. */
  record_generated: z.boolean().default(true),
});

/** `info` has a line a request, `warn` what failed for a reason of the server's. */
export const logLevel = z.enum(['debug', 'info', 'warn', 'error', 'silent']);

export const serveConfig = z.strictObject({
  store: z.string().default('logitcask-data').describe('folder of the store'),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to bind; others than loopback need tokens'),
  port: z.int().min(0).max(65_535).default(8750).describe('0 picks a free port'),
  /** Bearer tokens, by the SHA-256 (hex) of the token. */
  tokens: z
    .array(z.strictObject({ name: z.string(), sha256, scopes: z.array(scope).min(1) }))
    .default([]),
  /** Serves other addresses than loopback without tokens. */
  allow_anonymous: z.boolean().default(false),
  /** By target set, teachers whose scores are cached; several score the same sequences. */
  teachers: z.record(targetSetName, cachedTeacher).default({}),
  cache: cacheConfig.prefault({}),
  audit: z
    .strictObject({
      /** Threads of the audit that runs. */
      workers: z.int().positive().default(1),
      /** What it reads of the store in a second, so that serving goes on. */
      bytes_per_second_max: z
        .int()
        .positive()
        .default(64 * 1024 * 1024),
      /** Audits that wait for the one that runs; more are refused. */
      waiting_max: z.int().nonnegative().default(16),
    })
    .prefault({}),
  log: z.strictObject({ level: logLevel.default('warn') }).prefault({}),
  limits: z
    .strictObject({
      body_bytes_max: z
        .int()
        .positive()
        .default(1024 * 1024),
      header_bytes_max: z
        .int()
        .positive()
        .default(16 * 1024),
      connections_max: z.int().positive().default(1024),
      requests_per_minute_max: z.int().positive().default(60_000),
      request_timeout_ms: z.int().positive().default(30_000),
      handler_timeout_ms: z.int().positive().default(60_000),
      idle_timeout_ms: z.int().positive().default(65_000),
      /** Time that requests under way are given when the server stops. */
      grace_ms: z.int().nonnegative().default(10_000),
      /** Directories of batches that are kept in memory, a snapshot. */
      directory_bytes_max: z
        .int()
        .positive()
        .default(32 * 1024 * 1024),
      /** Body of a request for scores. */
      score_bytes_max: z
        .int()
        .positive()
        .default(16 * 1024 * 1024),
      /** Time for scores: a teacher may have to be waited for. */
      score_timeout_ms: z.int().positive().default(600_000),
      /** Body of a shard that a teacher worker pushes. */
      upload_bytes_max: z
        .int()
        .positive()
        .default(32 * 1024 * 1024),
      /** Time without a shard after which an upload is removed. */
      upload_lease_ms: z.int().min(1000).default(86_400_000),
      /** Time for the commit of an upload; asked again, it is waited for again. */
      commit_timeout_ms: z.int().positive().default(600_000),
      snapshots_open_max: z.int().positive().default(4),
      /** Positions that one batch may hold. */
      batch_positions_max: z.int().positive().default(1_048_576),
      /** Samples that the filter or the packs of a plan may go through while a client waits. */
      plan_samples_max: z.int().positive().default(10_000_000),
      /** Samples kept in memory as they are sent. */
      cache_bytes_max: z
        .int()
        .positive()
        .default(128 * 1024 * 1024),
      /** Steps whose samples are read and made ready at a time; others wait their turn. */
      loads_max: z.int().positive().default(4),
      /** Batches on their way to clients; one that is larger is refused, others wait. */
      reply_bytes_max: z
        .int()
        .positive()
        .default(128 * 1024 * 1024),
      /** Time that a client may take none of its batch. */
      write_timeout_ms: z.int().positive().default(30_000),
    })
    .prefault({}),
});

export type CachedTeacherConfig = z.infer<typeof cachedTeacher>;
export type CacheConfig = z.infer<typeof cacheConfig>;
export type ServeConfig = z.infer<typeof serveConfig>;
export type Scope = z.infer<typeof scope>;
