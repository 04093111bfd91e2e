// node bench/tokenizer_peer.mjs TEXT_FILE TOKENIZER_FOLDER NODE_MODULES: how fast tiktoken encodes a text with Lille's
// vocabulary, to stand beside `tokenizer_bench TEXT_FILE TOKENIZER_FOLDER --benchmark_filter=encode/english`.
//
// TOKENIZER_FOLDER holds vocab.json, as models/lille-tiny-8bit does. NODE_MODULES is a folder with the package tiktoken,
// outside of this repository: `npm install tiktoken` in an empty folder makes one. That package is tiktoken's Rust code
// as WebAssembly. Ids, times and rates are of the whole text in one call, as in tokenizer_bench; a time is the CPU time of
// the process.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join, resolve} from 'node:path';

const kPattern = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`;
const kFirstSpecialId = 32763;
const kMinSeconds = 1;

const [textFile, tokenizerFolder, nodeModules] = process.argv.slice(2);
if (nodeModules === undefined) {
  console.error('usage: node bench/tokenizer_peer.mjs TEXT_FILE TOKENIZER_FOLDER NODE_MODULES');
  process.exit(2);
}
const require = createRequire(join(resolve(nodeModules, '..'), 'peer.js'));
const {Tiktoken} = require('tiktoken');
const {version} = JSON.parse(readFileSync(join(nodeModules, 'tiktoken/package.json'), 'utf8'));

// GPT-2's alphabet: 188 bytes stand for themselves, the others for the code points from 256 on.
function bytesOfCharacters() {
  const byteOf = new Map();
  const isItself = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let nOthers = 0;
  for (let byte = 0; byte < 256; ++byte)
    byteOf.set(String.fromCodePoint(isItself(byte) ? byte : 256 + nOthers++), byte);
  return byteOf;
}

// tiktoken's form of a vocabulary: a mark, the first rank, then the tokens in the order of their ranks.
function load(folder) {
  const byteOf = bytesOfCharacters();
  const tokens = [];
  const special = {};
  for (const [token, id] of Object.entries(JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')))) {
    if (id >= kFirstSpecialId) special[token] = id;
    else tokens[id] = Buffer.from([...token].map((character) => byteOf.get(character))).toString('base64');
  }
  return new Tiktoken(`! 0 ${tokens.join(' ')}`, special, kPattern);
}

function cpuSeconds(begin) {
  const used = process.cpuUsage(begin);
  return (used.user + used.system) / 1e6;
}

const tokenizer = load(tokenizerFolder);
const bytes = readFileSync(textFile);
const text = bytes.toString('utf8');
const nIds = tokenizer.encode_ordinary(text).length;
const begin = process.cpuUsage();
let nRounds = 0;
while (cpuSeconds(begin) < kMinSeconds) {
  tokenizer.encode_ordinary(text);
  ++nRounds;
}
const seconds = cpuSeconds(begin) / nRounds;
console.log(`tiktoken ${version}, ${bytes.length} bytes, ${nIds} ids: ` +
            `${(seconds * 1e3).toFixed(1)} ms CPU, ${(bytes.length / seconds / 1e6).toFixed(2)} MB/s`);
