// Presses the button of the start page and reports what a person would see.
import { withPage } from './chromium.mjs';

const url = process.argv[2];
await withPage(async page => {
  const errors = [];
  const foreign_requests = [];
  page.on('pageerror', error => errors.push(String(error)));
  page.on('console', message => message.type() === 'error' && errors.push(message.text()));
  page.on('request', request => request.url().startsWith(url) || foreign_requests.push(request.url()));
  await page.goto(url);
  await page.click('#go');
  await page.waitForFunction(() => document.getElementById('verdict').textContent !== '');
  await page.waitForFunction(() => document.querySelectorAll('#sessions tbody tr').length > 0);
  if (process.argv[3]) await page.screenshot({ path: process.argv[3], fullPage: true });
  const seen = await page.evaluate(() => {
    draw();
    const canvas = document.getElementById('chart');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let ink = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      // Water blue: the curve, not the grid.
      if (pixels[at + 3] > 200 && pixels[at + 2] > pixels[at] + 80) ink++;
    }
    return {
      verdict: document.getElementById('verdict').textContent,
      points: points.length,
      ink,
      sessions: document.querySelectorAll('#sessions tbody tr').length,
    };
  });
  return { ...seen, errors, foreign_requests };
});
