/** How tests run. */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: vitest asks for it
export default defineConfig({
  test: {
    // one more than there are cores, as many wait for a program or a server
    maxWorkers: availableParallelism() + 1,
    // files share what their process has loaded: none replaces modules, and spies end with a test
    isolate: false,
    restoreMocks: true,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
