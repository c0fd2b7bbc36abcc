/** A real Chromium, found on this machine; nothing is downloaded. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** `CHROMIUM`, or the first of the usual names on the path; undefined where there is none. */
export function findChromium(): string | undefined {
  const { CHROMIUM: given, PATH = '' } = process.env;
  if (given !== undefined && given !== '') return given;
  const places = names.flatMap((name) => PATH.split(':').map((folder) => join(folder, name)));
  return places.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function openBrowser(executablePath: string): Promise<Browser> {
  // containers run as root, where Chromium's own sandbox cannot be set up
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}
