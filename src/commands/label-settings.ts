/** The flags of `logitcask label`. */
import { placeSettings } from './build-settings.ts';
import type { Setting } from './settings.ts';

export const labelSettings: readonly Setting[] = [
  ...placeSettings,
  {
    flag: '--prompts <files>',
    path: 'prompts',
    about: 'JSON lines, Parquet or text, commas between',
  },
  { flag: '--mode <name>', path: 'mode', about: 'chat, or text for base models' },
  {
    flag: '--template <text>',
    path: 'template',
    about: 'user message with fields of the record: "Translate to German: {text}"',
  },
  { flag: '--system <text>', path: 'system', about: 'system message, for prompts without one' },
  { flag: '--source <type>', path: 'source.type', about: 'vllm, sglang, llama-cpp or openai' },
  { flag: '--url <url>', path: 'source.url', about: 'http://host:port' },
  { flag: '--model <name>', path: 'source.model', about: "name of the model, the server's first" },
  { flag: '--tokenizer <file>', path: 'source.tokenizer', about: 'tokenizer.json of the teacher' },
  {
    flag: '--chat-template <file>',
    path: 'source.chat_template',
    about: 'its template, where the server applies none',
  },
  {
    flag: '--concurrency <n>',
    path: 'source.concurrency',
    about: 'most requests at a time',
  },
  { flag: '--responses <n>', path: 'responses', about: 'responses to each prompt' },
  { flag: '--temperature <t>', path: 'sampling.temperature', about: 'of sampling; 0 is greedy' },
  { flag: '--top-p <p>', path: 'sampling.top_p', about: 'mass to sample from' },
  { flag: '--max-tokens <n>', path: 'sampling.max_tokens', about: 'most tokens of a response' },
  { flag: '--seed <n>', path: 'sampling.seed', about: 'what the seeds of requests are made of' },
  {
    flag: '--top-k <n>',
    path: 'top_k',
    about: 'entries of soft targets to ask for; 0: hard labels alone',
  },
  {
    flag: '--validation <share>',
    path: 'validation',
    about: 'share of the prompts kept for validation',
  },
  {
    flag: '--refused <what>',
    path: 'filter.refused',
    about: 'prompts that the server refuses: stop (default), or drop and count them',
  },
  {
    flag: '--snapshot <flag>',
    path: 'snapshot',
    about: 'store token ids as snapshots; false for text alone',
  },
  { flag: '--export <format>', path: 'export.format', about: 'write text, too: jsonl or parquet' },
  { flag: '--form <name>', path: 'export.form', about: 'of the text: chat or prompt-completion' },
  { flag: '--out <folder>', path: 'export.folder', about: 'where the text goes' },
];
