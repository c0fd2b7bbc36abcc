/** How tests run. */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** They measure the process that they run in. */
const alone = [
  'test/acceptance/limits.test.ts',
  'test/encode/damaged-frames.test.ts',
  'test/plan/plan.test.ts',
  'test/store/file.test.ts',
];

// biome-ignore lint/style/noDefaultExport: vitest asks for it
export default defineConfig({
  test: {
    // one more than there are cores, as many wait for a program or a server
    maxWorkers: availableParallelism() + 1,
    restoreMocks: true,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'alone', include: alone } },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          // they share what a process has loaded: none replaces modules, and hooks, spies and
          // timers belong to the tests of one file
          isolate: false,
        },
      },
    ],
  },
});
