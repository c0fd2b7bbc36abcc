/** A server that answers prompts, ready to be asked: what it says is checked before it counts. */
import type { GeneratorServerConfig } from '../../schemas/teacher-server.ts';
import { LogitcaskError } from '../errors.ts';
import { openChatTemplate } from './chat-template.ts';
import { openPrompts } from './generator-prompts.ts';
import { checkTemperature } from './generator-temperature.ts';
import type { Answer, Generator, GeneratorProtocol, Question } from './generators/generator.ts';
import { generators } from './generators/table.ts';
import { openTeacher } from './teacher-http.ts';
import type { TextTokenizer } from './tokenizer.ts';

/**
 * Errors: those of `TeacherHttp`, `teacher-unsuitable`, `source-mismatch`, `source-unreadable`; a
 * question that the server cannot be asked is `config-invalid`.
 */
export async function openGenerator(
  config: GeneratorServerConfig,
  tokenizer: TextTokenizer | undefined,
): Promise<Generator> {
  const protocol = generators[config.type];
  const { chat_template: file } = config;
  const template = file === undefined ? undefined : await openChatTemplate(file);
  const { http, window } = openTeacher(config);
  const facts = await protocol.facts(http.get, config.model);
  const model = config.model ?? facts.model;
  const width = widthOf(config.vocabulary ?? facts.vocabulary, tokenizer);
  const server = `${facts.version} (${model}) at ${config.url}`;
  const read = <T>(parse: () => T): T => readOf(server, protocol.hint, parse);
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const reply = Buffer.from(await http.post(path, body));
    return read(() => JSON.parse(reply.toString()));
  };
  const prompts = openPrompts({ protocol, template, tokenizer, server, post });
  const context = { width, idOf: tokenizer?.idOf ?? (() => undefined) };
  const answer = async (question: Question): Promise<Answer> => {
    refuseLists(question, { protocol, width, hasTokenizer: tokenizer !== undefined });
    const prompt = await prompts.sent(question.prompt);
    const sent = { ...question, prompt };
    const { path, body } = protocol.request(model, sent);
    const reply = await http.post(path, body);
    const given = read(() => {
      const parsed = protocol.parse(reply, sent, context);
      checkLength(parsed, question.k, width);
      return parsed;
    });
    window.grow();
    return { ...given, promptTokens: prompts.agreed(question.prompt, prompt, given) };
  };
  const checks = new Map<string, Promise<void>>();
  return {
    facts: { ...facts, model },
    source: config.type,
    width,
    window,
    async ask(question) {
      const { k, sampling } = question;
      const key = `${sampling.temperature} ${sampling.top_p}`;
      if (k > 0 && key !== '1 1') {
        if (!checks.has(key)) {
          checks.set(key, checkTemperature(answer, question, { server, hint: protocol.hint }));
        }
        await checks.get(key);
      }
      return answer(question);
    },
  };
}

/** Where V is told by nothing, 0: then no lists can be asked for. */
function widthOf(told: number | undefined, tokenizer: TextTokenizer | undefined): number {
  const size = tokenizer?.size ?? 0;
  const width = told ?? size;
  if (size <= width) return width;
  const message = `capture: the tokenizer has ${size} ids, the vocabulary ${width}; give its own`;
  throw new LogitcaskError('source-mismatch', message, { expected: width, got: size });
}

function refuseLists(
  { k }: Question,
  asked: { protocol: GeneratorProtocol; width: number; hasTokenizer: boolean },
): void {
  if (k === 0) return;
  const { name, kMax = Number.POSITIVE_INFINITY, givesIds } = asked.protocol;
  if (k > kMax) {
    const message = `config: ${name} gives lists of at most ${kMax} entries, not of ${k}`;
    throw new LogitcaskError('config-invalid', message, { expected: `at most ${kMax}`, got: k });
  }
  if (asked.width > 0 && (givesIds || asked.hasTokenizer)) return;
  const message =
    `config: log-probs of ${name} need the teacher's tokenizer.json` +
    `${givesIds ? ' or the size of its vocabulary' : ', since it gives no ids'}; set it, or k to 0`;
  throw new LogitcaskError('config-invalid', message, { expected: 'a tokenizer' });
}

/** What a server says is told with its name, and with what to do. */
function readOf<T>(server: string, hint: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const isOurs = cause instanceof LogitcaskError;
    if (isOurs && cause.code !== 'teacher-unsuitable') throw cause;
    const { expected, got } = isOurs ? cause : { expected: 'JSON', got: undefined };
    const reason = (cause as Error).message.replace(/^capture: /, '');
    const message = `capture: ${server}: ${reason}; ${hint}`;
    throw new LogitcaskError('teacher-unsuitable', message, { expected, got, cause });
  }
}

/** A server that gives fewer entries than were asked for would do so all along. */
function checkLength({ lists }: Answer, k: number, width: number): void {
  if (lists === undefined || lists.count === 0) return;
  let most = 0;
  for (let t = 0; t < lists.count; t++) {
    most = Math.max(most, lists.offsets[t + 1] - lists.offsets[t]);
  }
  const least = Math.min(k, width) - 1;
  if (most >= least) return;
  const message = `capture: its longest list has ${most} entries where ${k} were asked for`;
  throw new LogitcaskError('teacher-unsuitable', message, { expected: k, got: most });
}
