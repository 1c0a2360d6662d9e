// Work for V8 whose result is known: what it prints is in node.txt.
'use strict';
const crypto = require('crypto'), zlib = require('zlib');
const vm = require('vm'), assert = require('assert');

let seed = 12345;
const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0);

function sort() { // integers, then as objects by a comparison
  const a = Array.from({length: 200000}, random);
  const b = Uint32Array.from(a).sort();
  a.sort((x, y) => x - y);
  for (let n = 0; n < a.length; n++) assert.equal(a[n], b[n]);
  return a[1000] + ' ' + a[199000];
}

function floats() { // n-body like sums, typed arrays
  const x = new Float64Array(1000);
  for (let n = 0; n < 1000; n++) x[n] = Math.sqrt(n + 1);
  let sum = 0;
  for (let k = 0; k < 300; k++)
    for (let n = 0; n < 1000; n++) {
      x[n] = x[n] * 0.999 + 1 / (k + n + 1);
      sum += x[n];
    }
  return sum.toFixed(6);
}

function strings() { // maps, regular expressions, JSON
  const count = new Map();
  for (let n = 0; n < 100000; n++) {
    const word = 'w' + random() % 1000;
    count.set(word, (count.get(word) || 0) + 1);
  }
  const text = JSON.stringify([...count].sort());
  const back = JSON.parse(text);
  return back.length + ' ' + text.replace(/w(\d)\d*/g, '<$1>').length;
}

class Node {
  constructor(depth) {
    if (!depth) return;
    this.left = new Node(depth - 1);
    this.right = new Node(depth - 1);
  }
  count() {
    return 1 + (this.left ? this.left.count() + this.right.count() : 0);
  }
}

function trees() { // the garbage collector
  let n = 0;
  for (let k = 0; k < 40; k++) n += new Node(13).count();
  return n;
}

function generated() { // code made and thrown away
  let sum = 0;
  for (let n = 0; n < 400; n++) {
    const f = new Function('x', `let s = ${n};
      for (let k = 0; k < 2000; k++) s = (s * 31 + x + k) | 0;
      return s;`);
    sum = (sum + f(n)) | 0;
  }
  return sum + ' ' + vm.runInNewContext('[...Array(50).keys()]' +
    '.reduce((a, b) => a * 7n + BigInt(b), 1n).toString(16)');
}

function wasm() { // (func (param i64) (result i64) ...): factorial, by hand
  const code = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1,
    126, 1, 126, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 23, 1, 21, 0, 32, 0,
    80, 4, 126, 66, 1, 5, 32, 0, 32, 0, 66, 1, 125, 16, 0, 126, 11, 11]);
  const f = new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f;
  let sum = 0n;
  for (let n = 0n; n < 20000n; n++) sum += f(n % 20n) & 0xffffn;
  return sum;
}

function packed() {
  const data = Buffer.alloc(1 << 20);
  for (let n = 0; n < data.length; n++) data[n] = random() >>> 28;
  const small = zlib.deflateSync(data);
  assert(zlib.inflateSync(small).equals(data));
  return crypto.createHash('sha256').update(data).digest('hex');
}

async function tasks() { // the event loop, timers, threads of its pool
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const hash = n => new Promise((done, fail) => crypto.pbkdf2('lodge', 's' + n,
    2000, 16, 'sha512', (e, key) => e ? fail(e) : done(key.toString('hex'))));
  const all = await Promise.all([wait(5), wait(1), ...[1, 2, 3, 4].map(hash)]);
  return all.slice(2).join(' ');
}

(async () => {
  for (const f of [sort, floats, strings, trees, generated, wasm, packed,
    tasks])
    console.log(f.name, String(await f()));
  console.log('node: all done');
})();
