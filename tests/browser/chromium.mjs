// Starts Debian's Chromium through playwright-core, which `.ci/run setup` puts into .tools.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../.tools/package.json', import.meta.url));
const { chromium } = require('playwright-core');

export async function withPage(visit) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  try {
    const page = await browser.newPage();
    process.stdout.write(JSON.stringify(await visit(page)));
  } finally {
    await browser.close();
  }
}
