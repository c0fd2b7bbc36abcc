/** `logitcask doctor`: what a server can do as a teacher. */
import { Command } from 'commander';
import { type Diagnosis, diagnose, teacherAddress } from '../capture/doctor.ts';
import { resolveConfig } from '../config.ts';
import { type CommandContext, formatCount } from './command.ts';
import { givenSettings, type Setting } from './settings.ts';

interface DoctorFlags {
  readonly json?: boolean;
  readonly [name: string]: unknown;
}

const settings: readonly Setting[] = [
  { flag: '--tokenizer <file>', path: 'source.tokenizer', about: 'tokenizer.json of the teacher' },
  { flag: '--texts <files>', path: 'source.texts', about: 'ask for the first of these texts' },
  { flag: '--model <name>', path: 'source.model', about: "name of the model, the server's first" },
  { flag: '--vocabulary <n>', path: 'source.vocabulary', about: 'size of the vocabulary' },
];

export function doctorCommand(context: CommandContext): Command {
  const command = new Command('doctor')
    .summary('find out what a server can do as a teacher')
    .description(
      'Asks it for prompt log-probs of a short text: longest lists, alignment, context, speed. ' +
        'A key is read from LOGITCASK_SOURCE__API_KEY.',
    )
    .argument('<teacher>', 'vllm:http://host:port, or sglang:…, llama-cpp-python:…')
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
  const input = await context.configInput([
    ...givenSettings(settings, flags),
    text('source.type', type),
    text('source.url', url),
    ...(flags.texts === undefined ? [text('source.texts', '[]')] : []),
  ]);
  const { source } = resolveConfig('build', input);
  if (source.type !== type) throw new Error('the address names the type');
  const diagnosis = await diagnose(source);
  context.print(flags.json ? JSON.stringify(diagnosis) : describe(diagnosis));
}

function describe(diagnosis: Diagnosis): string {
  const { version, model, context, vocabulary, top_k: k, alignment, difference } = diagnosis;
  const { before, at, after } = alignment;
  const shifts = [before, at, after].map((mean) => mean.toFixed(2)).join(' / ');
  const lines = [
    `${model} on ${version}`,
    '  scores given texts   yes',
    `  context              ${context === null ? 'not told' : `${formatCount(context)} tokens`}`,
    `  vocabulary           ${formatCount(vocabulary)}, by the tokenizer`,
    `  longest lists        ${formatCount(k)} entries a position`,
    `  alignment            log-prob of the token ${shifts} at shifts −1 / 0 / +1: best at 0`,
    `  same text, same rows within ${difference.toPrecision(2)} on average`,
    '  temperature          1, whatever is asked; T ≠ 1 is approximate from top lists',
    '  last position        not told by servers: stored without a target',
    `  speed                ${formatCount(diagnosis.positions_per_second)} positions/s`,
  ];
  const refusal = diagnosis.top_k_refusal;
  if (refusal !== null) lines.splice(5, 0, `    of longer ones it says: ${refusal}`);
  return lines.join('\n');
}
