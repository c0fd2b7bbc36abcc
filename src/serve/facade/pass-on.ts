/** Requests for generation: passed on to the teacher as they are, what it made is remembered. */
import type { FastifyReply } from 'fastify';
import type { CompletionBody } from '../../../schemas/facade.ts';
import { LogitcaskError } from '../../errors.ts';
import type { CachedTeacher } from '../cached-teacher.ts';
import type { ServeContext } from '../context.ts';
import { invalidBody } from '../request-body.ts';

export interface Passing {
  readonly path: string;
  readonly body: CompletionBody;
  readonly bytes: Buffer;
}

/** Errors: `request-invalid` (streams), `teacher-unreachable`; a refusal is the teacher's own. */
export async function passOn(
  { config, generations }: ServeContext,
  teacher: CachedTeacher,
  { path, body, bytes }: Passing,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (body.stream === true) throw invalidBody('streams are not passed on', 'stream: false', true);
  const { pass } = teacher.served;
  if (pass === undefined) {
    const message = 'request: this server is offline and passes nothing on to a teacher';
    throw new LogitcaskError('route-not-found', message);
  }
  const answer = await pass(path, bytes);
  if (answer.status === 200 && config.cache.record_generated) {
    generations.record(teacher, { request: body, reply: answer.bytes });
  }
  reply.code(answer.status).type(answer.type).header('cache-control', 'no-store');
  return reply.send(answer.bytes);
}
