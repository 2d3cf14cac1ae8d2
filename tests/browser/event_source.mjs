// Opens a session with fetch, listens to it with an EventSource that nobody closes until it gives up
// by itself; prints every event and how often the source connected.
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
    let connections = 0;
    source.onopen = () => connections++;
    return new Promise((resolve, reject) => {
      for (const kind of kinds) {
        source.addEventListener(kind, event => {
          events.push({ ...JSON.parse(event.data), id: event.lastEventId });
        });
      }
      source.onerror = () => {
        const last = events.at(-1)?.type;
        if (last !== 'end') reject(new Error(`the event source failed after ${last}`));
        if (source.readyState === EventSource.CLOSED) resolve({ events, connections });
      };
    });
  });
});
