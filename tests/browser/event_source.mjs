// Opens a session with fetch, listens to it with EventSource, prints every event.
import { withPage } from './chromium.mjs';

const url = process.argv[2];
await withPage(async page => {
  await page.goto(url);
  return page.evaluate(async () => {
    const body = JSON.stringify({
      matrix: [[4, 1, 0], [1, 4, 1], [0, 1, 4]], vector: [1, 2, 3],
      method: 'jacobi', options: { update_every: 1 },
    });
    const headers = { 'content-type': 'application/json' };
    const opened = await fetch('/api/v1/sessions', { method: 'POST', headers, body });
    const source = new EventSource(opened.headers.get('location') + '/stream');
    const kinds = ['session_opened', 'iteration_update', 'prepared', 'method_changed',
      'convergence_signal', 'solution', 'heartbeat', 'end'];
    const events = [];
    return new Promise((resolve, reject) => {
      for (const kind of kinds) {
        source.addEventListener(kind, event => {
          events.push({ ...JSON.parse(event.data), id: event.lastEventId });
          if (kind === 'end') { source.close(); resolve(events); }
        });
      }
      source.onerror = () => reject(new Error('the event source failed'));
    });
  });
});
