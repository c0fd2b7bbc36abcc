/** `logitcask doctor`: what a server can do as a teacher. */
import { Command } from 'commander';
import type { ServerSourceConfig } from '../../schemas/build-config.ts';
import { type Diagnosis, diagnose, teacherAddress } from '../capture/doctor.ts';
import { diagnoseGenerator, type GenerationDiagnosis } from '../capture/generator-doctor.ts';
import { generators } from '../capture/generators/table.ts';
import { servers } from '../capture/servers/table.ts';
import { resolveConfig, type TextSetting } from '../config.ts';
import { type CommandContext, formatCount } from './command.ts';
import { givenSettings, type Setting } from './settings.ts';

interface DoctorFlags {
  readonly json?: boolean;
  readonly [name: string]: unknown;
}

const settings: readonly Setting[] = [
  { flag: '--tokenizer <file>', path: 'source.tokenizer', about: 'tokenizer.json of the teacher' },
  {
    flag: '--chat-template <file>',
    path: 'source.chat_template',
    about: 'chat_template.jinja or tokenizer_config.json, for servers that apply none',
  },
  { flag: '--texts <files>', path: 'source.texts', about: 'ask for the first of these texts' },
  { flag: '--model <name>', path: 'source.model', about: "name of the model, the server's first" },
  { flag: '--vocabulary <n>', path: 'source.vocabulary', about: 'size of the vocabulary' },
];

export function doctorCommand(context: CommandContext): Command {
  const command = new Command('doctor')
    .description(
      'Asks it to score a short text and to answer a prompt: longest lists, alignment, ids, ' +
        'temperature, context, speed. A key is read from LOGITCASK_SOURCE__API_KEY.',
    )
    .argument(
      '<teacher>',
      'vllm:http://host:port, also sglang:, llama-cpp-python:, llama-cpp: or openai:',
    )
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask doctor vllm:http://127.0.0.1:8000 --tokenizer tokenizer.json',
    )
    .action((teacher: string, flags: DoctorFlags) => run(context, teacher, flags));
  for (const { flag, about } of settings) command.option(flag, about);
  return command;
}

async function run(context: CommandContext, teacher: string, flags: DoctorFlags): Promise<void> {
  const { type, url } = teacherAddress(teacher);
  const text = (path: string, value: string) => ({ origin: 'the teacher', path, text: value });
  const given = [
    ...givenSettings(settings, flags),
    text('source.type', type),
    text('source.url', url),
  ];
  const texts = flags.texts === undefined ? [text('source.texts', '[]')] : [];
  const scoring = type in servers ? await scores([...given, ...texts]) : null;
  const generation = type in generators ? await generates(given) : null;
  if (flags.json) context.print(JSON.stringify({ ...scoring, generation }));
  else context.print(describe(scoring, generation));

  async function scores(flags: readonly TextSetting[]): Promise<Diagnosis> {
    const own = flags.filter(({ path }) => path !== 'source.chat_template');
    const { source } = resolveConfig('build', await context.configInput(own));
    if (!(source.type in servers)) throw new Error('the address names the type');
    return diagnose(source as ServerSourceConfig);
  }
  async function generates(flags: readonly TextSetting[]): Promise<GenerationDiagnosis> {
    const own = flags.filter(({ path }) => path !== 'source.texts');
    const { source } = resolveConfig('doctor', await context.configInput(own));
    return diagnoseGenerator(source!);
  }
}

function describe(scoring: Diagnosis | null, generation: GenerationDiagnosis | null): string {
  const { version, model, context } = (scoring ?? generation)!;
  return [
    `${model} on ${version}`,
    `  context              ${context === null ? 'not told' : `${formatCount(context)} tokens`}`,
    ...(scoring === null
      ? ['  scores given texts   no: log-probs are those of tokens that it generates']
      : scoringLines(scoring)),
    ...(generation === null ? [] : generationLines(generation)),
  ].join('\n');
}

function scoringLines(diagnosis: Diagnosis): string[] {
  const { vocabulary, top_k: k, top_k_refusal: refusal, alignment, difference } = diagnosis;
  const { before, at, after } = alignment;
  const shifts = [before, at, after].map((mean) => mean.toFixed(2)).join(' / ');
  return [
    '  scores given texts   yes',
    `    vocabulary         ${formatCount(vocabulary)}, by the tokenizer`,
    `    longest lists      ${formatCount(k)} entries a position`,
    ...(refusal === null ? [] : [`      of longer ones it says: ${refusal}`]),
    `    alignment          log-prob of the token ${shifts} at shifts −1 / 0 / +1: best at 0`,
    `    same text          same rows within ${difference.toPrecision(2)} on average`,
    '    temperature        1, whatever is asked; T ≠ 1 is approximate from top lists',
    '    last position      not told by servers: stored without a target',
    `    speed              ${formatCount(diagnosis.positions_per_second)} positions/s`,
  ];
}

const idsBy = {
  server: 'given',
  tokenizer: 'told by the bytes of tokens and the tokenizer',
  none: 'not given',
} as const;

function generationLines(diagnosis: GenerationDiagnosis): string[] {
  const { chat_refusal, top_k: k, top_k_refusal, temperature_one, temperature_refusal } = diagnosis;
  const lists = k === 0 ? 'none: hard labels only' : `${formatCount(k)} entries a generated token`;
  const temperature = temperature_one
    ? '1, whatever is sampled at'
    : 'that of sampling: sample at temperature 1 and top_p 1 for soft targets';
  return [
    `  answers prompts      ${chat_refusal === null ? 'conversations' : 'texts, no conversations'}`,
    ...(chat_refusal === null ? [] : [`      of conversations it says: ${chat_refusal}`]),
    `    longest lists      ${lists}`,
    ...(top_k_refusal === null ? [] : [`      of longer ones it says: ${top_k_refusal}`]),
    `    token ids          ${idsBy[diagnosis.ids]}`,
    `    prompt ids         ${diagnosis.prompt_ids ? 'known' : 'not known: give a chat template'}`,
    ...(temperature_one === null ? [] : [`    temperature        ${temperature}`]),
    ...(temperature_refusal === null ? [] : [`      at 2 it says: ${temperature_refusal}`]),
    `    speed              ${formatCount(diagnosis.tokens_per_second)} tokens/s`,
  ];
}
