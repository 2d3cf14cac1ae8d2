// Two streams over one connection of HTTP/2. One is not read until the server has given it up; prints
// how far the other came meanwhile and how each of them ended.
import http2 from 'node:http2';

const client = http2.connect(process.argv[2]);
client.on('error', error => { throw error; });

function open(method, path, body) {
  const headers = { ':method': method, ':path': path, 'content-type': 'application/json' };
  const stream = client.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const closed = new Promise(resolve => {
    stream.on('error', () => {});
    stream.on('close', () => resolve(stream.rstCode));
  });
  const responded = new Promise(resolve => stream.on('response', resolve));
  return { stream, closed, responded };
}

async function status(session) {
  const { stream } = open('GET', `/api/v1/status/${session}`);
  let text = '';
  for await (const piece of stream) text += piece;
  return JSON.parse(text);
}

// Enough iterations for minutes, each announced with the whole of x, a thousand numbers.
const n = 1000;
const range = [...Array(n).keys()];
const body = JSON.stringify({
  matrix: { rows: n, cols: n, data: {
    values: [...range.map(() => 2), ...range.slice(1).flatMap(() => [-1, -1])],
    row_indices: [...range, ...range.slice(1).flatMap(i => [i, i - 1])],
    col_indices: [...range, ...range.slice(1).flatMap(i => [i - 1, i])],
  } },
  vector: range.map(() => 1), method: 'jacobi',
  options: { damping: 0.01, tolerance: 1e-12, max_iterations: 100000000, update_every: 1,
    x_partial_max: 'all' },
});

const stalled = open('POST', '/api/v1/solve-stream', body);
const read = open('POST', '/api/v1/solve-stream', body);
let bytes = 0;
read.stream.on('data', piece => { bytes += piece.length; });
const session = (await stalled.responded)['weir-session-id'];
let state;
do state = await status(session); while (state.state !== 'ended');
const at_the_cut = bytes;
await new Promise(resolve => {
  read.stream.on('data', () => { if (bytes > at_the_cut + 1e6) resolve(); });
  read.stream.on('close', resolve);
});
const more = bytes - at_the_cut;
stalled.stream.resume();
const code = await stalled.closed;
const connection_closed = client.closed || client.destroyed;
read.stream.close();
client.destroy();
console.log(JSON.stringify({ reason: state.end_reason, more, code, connection_closed }));
process.exit(0);
