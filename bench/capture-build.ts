/**
 * A build in a process of its own, and how late its event loop was.
 *
 * usage: capture-build.js CONFIG STORE; prints {"p99","max"} in ms
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { buildConfig } from '../schemas/build-config.ts';
import { build } from '../src/build.ts';

const [config, store] = process.argv.slice(2);
const lag = monitorEventLoopDelay({ resolution: 1 });
const settings = { ...JSON.parse(readFileSync(config, 'utf8')), store };
lag.enable();
await build(buildConfig.parse(settings), { dataFolder: 'data' });
lag.disable();
console.log(JSON.stringify({ p99: lag.percentile(99) / 1e6, max: lag.max / 1e6 }));
