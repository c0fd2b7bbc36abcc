/** POST /v1/score: lists of any sequences, from the cache or, once, from the teacher. */
import type { FastifyRequest } from 'fastify';
import { type ScoreQuery, scoreQuery } from '../../../schemas/score.ts';
import { LogitcaskError } from '../../errors.ts';
import type { CachedTeacher, ScoreAnswer } from '../cached-teacher.ts';
import type { ServeContext } from '../context.ts';
import { arrowType, negotiate } from '../negotiate.ts';
import { sendBody } from '../replies.ts';
import { cutLists, type Scores, scoreJson, scoreStream } from '../score-reply.ts';
import { type Wanted, wantedOf } from '../score-request.ts';
import { allScored } from '../settled.ts';
import type { Route } from './route.ts';

const json = 'application/json';
/** Of lists, id and log-prob. */
const entryBytes = 8;

export const score: Route = (server, context) => {
  const { limits } = context.config;
  server.addContentTypeParser(arrowType, { parseAs: 'buffer' }, (_, body, done) =>
    done(null, body),
  );
  server.post(
    '/v1/score',
    {
      config: { scope: 'write', timeoutMs: limits.score_timeout_ms },
      bodyLimit: limits.score_bytes_max,
      schema: { querystring: scoreQuery },
    },
    async (request, reply) => {
      const type = negotiate(request.headers.accept, [json, arrowType]);
      const teachers = teachersOf(context, request.query);
      const wanted = wantedOf(request.body);
      const bytes = bytesOf(context, teachers, wanted);
      const share = await context.replies.enter();
      share.hold(bytes); // others go on while a teacher is waited for
      try {
        const scores = await scoresOf(request, { teachers, wanted });
        reply.header('cache-control', 'no-store').header('vary', 'Accept');
        if (type === json) {
          share.release();
          return reply.type(json).send(JSON.stringify(scoreJson(scores)));
        }
        reply.type(arrowType);
        return sendBody(request, reply, {
          body: scoreStream(scores),
          share,
          replies: context.replies,
        });
      } catch (error) {
        share.release();
        throw error;
      }
    },
  );
};

function teachersOf(
  { teachers }: ServeContext,
  { target_sets: names }: ScoreQuery,
): CachedTeacher[] {
  if (teachers.length === 0) {
    const message = 'score: this server has no teacher; start it with --teacher';
    throw new LogitcaskError('route-not-found', message);
  }
  const known = teachers.map(({ name }) => name);
  return (names ?? known).map((name) => {
    const teacher = teachers.find((one) => one.name === name);
    if (teacher !== undefined) return teacher;
    const message = `score: there is no teacher of the name ${name}`;
    throw new LogitcaskError('request-invalid', message, { expected: known, got: name });
  });
}

/** Of the reply, at most. Throws `request-invalid` before anything is asked. */
function bytesOf(
  { config: { limits } }: ServeContext,
  teachers: readonly CachedTeacher[],
  wanted: readonly Wanted[],
): number {
  const positions = wanted.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const bytes = positions * teachers.reduce((sum, { k }) => sum + entryBytes * k, 0);
  if (positions <= limits.batch_positions_max && bytes <= limits.reply_bytes_max) return bytes;
  const message = 'request: the reply would be too large; ask for fewer sequences at a time';
  throw new LogitcaskError('request-invalid', message, {
    expected: `at most ${limits.batch_positions_max} positions, ${limits.reply_bytes_max} bytes`,
    got: `${positions} positions, up to ${bytes} bytes`,
  });
}

type Asked = Pick<Scores, 'teachers' | 'wanted'>;

async function scoresOf(
  request: FastifyRequest<{ Querystring: unknown }>,
  { teachers, wanted }: Asked,
): Promise<Scores> {
  const { top_k: k } = request.query as ScoreQuery;
  for (const teacher of teachers) {
    if (k === undefined || k <= teacher.k) continue;
    const message = `score: top_k ${k} is more than the ${teacher.k} entries that are cached`;
    throw new LogitcaskError('request-invalid', message, { expected: teacher.k, got: k });
  }
  const answers = await allScored(
    wanted.map(({ tokens, note }) =>
      Promise.all(teachers.map((teacher) => scored(teacher, { tokens, note, k, request }))),
    ),
  );
  return { teachers, wanted, answers };
}

async function scored(
  teacher: CachedTeacher,
  { tokens, note, k, request }: Wanted & { k: number | undefined; request: FastifyRequest },
): Promise<ScoreAnswer> {
  const answer = await teacher.score(tokens, request, note);
  if (k === undefined || k >= teacher.k) return answer;
  return { ...answer, rows: cutLists(answer.rows, k) };
}
