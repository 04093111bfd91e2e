// node tests/peer/llama_peer.mjs MODEL.gguf LOGITS.safetensors NODE_MODULES [VECTORS.json]: whether llama.cpp computes
// from a file of ours what we do.
//
// LOGITS.safetensors is what `lille logits --ids ...` wrote for the model that MODEL.gguf was made from. NODE_MODULES
// holds node-llama-cpp. Compares log-probabilities of all tokens at positions 1, 64, 256 and 511 (of those that there
// are) and every eighth, the perplexity over those, and greedy choices where the gap between the first two logits is above 1e-3; with VECTORS.json (texts
// with tiktoken's ids) the ids of each text. Prints one JSON object.
import {readFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const [modelFile, logitsFile, nodeModules, vectorsFile] = process.argv.slice(2);
if (nodeModules === undefined) {
  console.error('usage: node tests/peer/llama_peer.mjs MODEL.gguf LOGITS.safetensors NODE_MODULES [VECTORS.json]');
  process.exit(2);
}
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(resolve(nodeModules, 'node-llama-cpp/dist/index.js')).href);
const {version} = JSON.parse(readFileSync(join(nodeModules, 'node-llama-cpp/package.json'), 'utf8'));

// The tensors of a safetensors file, as typed arrays.
function readTensors(file) {
  const bytes = readFileSync(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString());
  const tensors = {};
  for (const [name, {dtype, data_offsets: [begin, end]}] of Object.entries(header)) {
    if (dtype !== 'F32' && dtype !== 'I32') continue;
    const data = bytes.buffer.slice(bytes.byteOffset + 8 + headerBytes + begin, bytes.byteOffset + 8 + headerBytes + end);
    tensors[name] = dtype === 'F32' ? new Float32Array(data) : new Int32Array(data);
  }
  return tensors;
}

function logSoftmax(logits) {
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const logSum = largest + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - logSum);
}

function topTwo(values) {
  let [first, second] = [-1, -1];
  for (let id = 0; id < values.length; ++id)
    if (first < 0 || values[id] > values[first]) [first, second] = [id, first];
    else if (second < 0 || values[id] > values[second]) second = id;
  return {first, gap: values[first] - values[second]};
}

const {ids, logits} = readTensors(logitsFile);
const nVocabulary = logits.length / ids.length;
const llama = await getLlama({gpu: false, build: 'never', logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: resolve(modelFile)});
const context = await model.createContext({
  contextSize: 640, batchSize: 512, flashAttention: false, threads: 2, experimentalKvCacheKeyType: 'F32',
  experimentalKvCacheValueType: 'F32'
});
const sequence = context.getSequence();

const result = {nodeLlamaCpp: version, model: modelFile, positions: {}, worst: 0, greedyCompared: 0, greedyDifferent: 0};
let lossOurs = 0;
let lossTheirs = 0;
// A context that is longer than the text, since a full one drops its first tokens. Every eighth position is compared,
// in a call of its own: all logits at once would be large, and a call takes 100 ms to hand 32,768 of them over.
const kNamed = [1, 64, 256, 511];
const isCompared = (pos) => pos % 8 === 7 || kNamed.includes(pos);
let unread = [];
let nTargets = 0;
for (let pos = 0; pos < ids.length; ++pos) {
  if (!isCompared(pos)) {
    unread.push(ids[pos]);
    continue;
  }
  const outputs = await sequence.controlledEvaluate([...unread, [ids[pos], {generateNext: {logits: true, options: {temperature: 0}}}]]);
  const map = outputs.at(-1).next.logits;
  unread = [];
  const theirs = new Float64Array(nVocabulary);
  for (const [id, logit] of map) theirs[id] = logit;
  const oursLog = logSoftmax(logits.subarray(pos * nVocabulary, (pos + 1) * nVocabulary));
  const theirsLog = logSoftmax(theirs);
  let worst = 0;
  for (let id = 0; id < nVocabulary; ++id) worst = Math.max(worst, Math.abs(oursLog[id] - theirsLog[id]));
  result.worst = Math.max(result.worst, worst);
  if (kNamed.includes(pos)) result.positions[pos] = worst;
  const ours = topTwo(oursLog);
  if (ours.gap > 1e-3) {
    ++result.greedyCompared;
    if (topTwo(theirsLog).first !== ours.first) ++result.greedyDifferent;
  }
  if (pos + 1 < ids.length) {
    ++nTargets;
    lossOurs -= oursLog[ids[pos + 1]];
    lossTheirs -= theirsLog[ids[pos + 1]];
  }
}
result.perplexityOurs = Math.exp(lossOurs / nTargets);
result.perplexityTheirs = Math.exp(lossTheirs / nTargets);

if (vectorsFile !== undefined) {
  const {text: cases} = JSON.parse(readFileSync(vectorsFile, 'utf8'));
  result.texts = cases.length;
  result.textsDifferent = [];
  for (const {text, ordinary} of cases) {
    const tokens = model.tokenize(text, false, 'trimLeadingSpace');
    if (JSON.stringify([...tokens]) !== JSON.stringify(ordinary)) result.textsDifferent.push({text, tokens, ordinary});
  }
}
console.log(JSON.stringify(result, null, 1));
await llama.dispose();
