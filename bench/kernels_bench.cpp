// Speed of the kernels at Lille-130M's shapes, for every table that this machine runs.
// Usage: kernels_bench --benchmark_filter='matmul/avx512/bf16'
// matmul names: table/kind/rows:N/threads:N, matmul_q8 the same with activations of 8 bits, matmul_bf16 with
// activations of bfloat16; GFLOP/s counts 2
// operations a weight and row, GB/s the weights' bytes as they are stored.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_kind.h"
#include "ops/ops.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::KernelTable;
using kernels::WeightKind;
using kernels::WeightMatrix;

struct Shape {
  const char* name;
  int64_t n_out;
  int64_t n_in;
};

/// One layer's matrices (qkv_proj, out_proj, gate_proj, up_proj, down_proj) and the output projection.
constexpr Shape kLayer[] = {{"qkv_proj", 896, 640},
                            {"out_proj", 640, 640},
                            {"gate_proj", 1792, 640},
                            {"up_proj", 1792, 640},
                            {"down_proj", 640, 1792}};
constexpr Shape kLogits = {"logits", 32768, 640};
constexpr int64_t kLayers = 24;

struct Kind {
  const char* name;
  WeightKind kind;
  int64_t bits = 0;  ///< Of kAffine's codes.
};

constexpr int64_t kGroupSize = 64;
constexpr Kind kKinds[] = {{"f32", WeightKind::kF32},           {"f16", WeightKind::kF16},
                           {"bf16", WeightKind::kBF16},         {"affine2", WeightKind::kAffine, 2},
                           {"affine3", WeightKind::kAffine, 3}, {"affine4", WeightKind::kAffine, 4},
                           {"affine5", WeightKind::kAffine, 5}, {"affine6", WeightKind::kAffine, 6},
                           {"affine8", WeightKind::kAffine, 8}, {"q8_0", WeightKind::kQ8_0},
                           {"q4_0", WeightKind::kQ4_0},         {"q4_1", WeightKind::kQ4_1},
                           {"q5_0", WeightKind::kQ5_0},         {"q5_1", WeightKind::kQ5_1},
                           {"q4_k", WeightKind::kQ4_K},         {"q5_k", WeightKind::kQ5_K},
                           {"q6_k", WeightKind::kQ6_K}};

/// A matrix and the memory it views; floats are small, codes random, scales 0 or small, so that no sum
/// overflows.
struct OwnedMatrix {
  std::vector<std::byte> data;
  std::vector<uint16_t> scales;
  WeightMatrix view;

  double n_bytes() const { return static_cast<double>(data.size() + 4 * scales.size()); }
};

std::byte random_float_byte(WeightKind kind, std::size_t byte_idx, std::minstd_rand& random) {
  // The exponent's byte of a value near 2^-6; a random rest.
  if (kind == WeightKind::kF16) return static_cast<std::byte>(byte_idx % 2 == 1 ? 0x24 : random() % 256);
  const std::size_t n_bytes = kind == WeightKind::kF32 ? 4 : 2;
  return static_cast<std::byte>(byte_idx % n_bytes == n_bytes - 1 ? 0x3c : random() % 256);
}

OwnedMatrix make_matrix(const Shape& shape, const Kind& kind) {
  OwnedMatrix matrix;
  matrix.view = {
      .kind = kind.kind, .data = nullptr, .n_out = shape.n_out, .n_in = shape.n_in, .bits = kind.bits};
  matrix.data.resize(static_cast<std::size_t>(shape.n_out * kernels::row_bytes(matrix.view)));
  std::minstd_rand random(1);
  const bool is_block = kernels::is_block_kind(kind.kind);
  for (std::size_t idx = 0; idx < matrix.data.size(); ++idx)
    matrix.data[idx] = is_block || kind.kind == WeightKind::kAffine
                           ? static_cast<std::byte>(random() % 60)
                           : random_float_byte(kind.kind, idx, random);
  if (kind.kind == WeightKind::kAffine) {
    matrix.scales.assign(static_cast<std::size_t>(shape.n_out * shape.n_in / kGroupSize),
                         f32_to_bf16(1.0f / 2048));
    matrix.view.scales = matrix.scales.data();
    matrix.view.biases = matrix.scales.data();
    matrix.view.scale_kind = FloatKind::kBF16;
    matrix.view.group_size = kGroupSize;
  }
  matrix.view.data = matrix.data.data();
  return matrix;
}

/// All linear layers of the model (24 blocks and the logits) for n_rows rows: what a forward pass multiplies.
/// Of the K kinds only down_proj, the one matrix whose rows hold whole super-blocks.
void run_model(benchmark::State& state, const KernelTable& table, const Kind& kind, int64_t n_rows,
               int64_t n_threads, bool exact) {
  std::vector<OwnedMatrix> matrices;
  for (int64_t layer = 0; layer < kLayers; ++layer)
    for (const Shape& shape : kLayer)
      if (shape.n_in % kernels::block_weights(kind.kind) == 0) matrices.push_back(make_matrix(shape, kind));
  if (n_rows == 1 && kLogits.n_in % kernels::block_weights(kind.kind) == 0)
    matrices.push_back(make_matrix(kLogits, kind));
  std::vector<float> x(static_cast<std::size_t>(n_rows * 1792), 0.5f);
  std::vector<float> out(static_cast<std::size_t>(n_rows * 32768));
  ThreadPool pool(n_threads);
  ops::Device device{.kernels = table, .pool = pool, .scratch = {}, .exact = exact};
  double n_weights = 0;
  double n_bytes = 0;
  for (const OwnedMatrix& matrix : matrices) {
    n_weights += static_cast<double>(matrix.view.n_out * matrix.view.n_in);
    n_bytes += matrix.n_bytes();
  }
  for (auto _ : state) {
    for (const OwnedMatrix& matrix : matrices) {
      const WeightMatrix& weight = matrix.view;
      ops::linear(device, {out.data(), n_rows, weight.n_out, weight.n_out},
                  {x.data(), n_rows, weight.n_in, weight.n_in}, weight);
    }
    benchmark::DoNotOptimize(out.data());
  }
  const auto n_passes = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(n_passes * 2e-9 * n_weights * static_cast<double>(n_rows),
                                                 benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(n_passes * 1e-9 * n_bytes, benchmark::Counter::kIsRate);
  state.counters["tokens/s"] =
      benchmark::Counter(n_passes * static_cast<double>(n_rows), benchmark::Counter::kIsRate);
}

/// Attention of one layer: n_rows queries that end at n_keys.
void run_attention(benchmark::State& state, const KernelTable& table, int64_t n_rows, int64_t n_keys,
                   int64_t n_threads) {
  const ops::AttentionShape shape = {
      .n_head = 10, .n_kv_heads = 2, .head_dim = 64, .cache_kind = kernels::WeightKind::kF32};
  const int64_t width = shape.n_head * shape.head_dim;
  std::vector<float> cache(static_cast<std::size_t>(shape.n_kv_heads * n_keys * shape.head_dim), 0.1f);
  std::vector<float> queries(static_cast<std::size_t>(n_rows * width), 0.2f);
  std::vector<float> out(queries.size());
  std::vector<ops::AttentionRow> rows;
  double n_scores = 0;
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t n_seen = n_keys - n_rows + row + 1;
    rows.push_back({.keys = cache.data(), .values = cache.data(), .capacity = n_keys, .n_keys = n_seen});
    n_scores += static_cast<double>(n_seen * shape.n_head);
  }
  ThreadPool pool(n_threads);
  ops::Device device{.kernels = table, .pool = pool, .scratch = {}};
  for (auto _ : state) {
    ops::scaled_dot_product_attention(device, {out.data(), n_rows, width, width},
                                      {queries.data(), n_rows, width, width}, rows, shape);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["GFLOP/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * 4e-9 * n_scores * 64, benchmark::Counter::kIsRate);
}

/// The small ops of a layer for one row.
void run_row_ops(benchmark::State& state, const KernelTable& table) {
  std::vector<float> x(1792, 0.25f);
  std::vector<float> y(1792, 0.5f);
  for (auto _ : state) {
    table.rms_norm(y.data(), x.data(), x.data(), FloatKind::kF32, 640, 1e-5f);
    table.swiglu(y.data(), y.data(), x.data(), 1792);
    table.add(y.data(), x.data(), 640);
    benchmark::DoNotOptimize(y.data());
  }
}

void run_logits(benchmark::State& state, const KernelTable& table) {
  std::vector<float> logits(32768);
  for (std::size_t idx = 0; idx < logits.size(); ++idx)
    logits[idx] = static_cast<float>(idx * 37 % 1001) * 0.01f;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.log_sum_exp(logits.data(), 32768));
    benchmark::DoNotOptimize(table.argmax(logits.data(), 32768));
  }
}

void register_all() {
  for (const KernelTable* table : kernels::supported_kernel_tables()) {
    const std::string name(table->name);
    for (const int64_t n_threads : {1, 2}) {
      for (const Kind& kind : kKinds)
        for (const int64_t n_rows : {1, 8, 128})
          for (const bool exact : {true, false}) {
            const bool rounds_to_bf16 = kind.kind == WeightKind::kBF16;
            if (!exact && !rounds_to_bf16 && !kernels::takes_q8(kind.kind)) continue;
            benchmark::RegisterBenchmark(
                fmt::format("{}/{}/{}/rows:{}/threads:{}",
                            exact            ? "matmul"
                            : rounds_to_bf16 ? "matmul_bf16"
                                             : "matmul_q8",
                            name, kind.name, n_rows, n_threads)
                    .c_str(),
                [=](benchmark::State& state) { run_model(state, *table, kind, n_rows, n_threads, exact); })
                ->UseRealTime()
                ->Unit(benchmark::kMillisecond);
          }
      for (const int64_t n_rows : {1, 128, 512})
        benchmark::RegisterBenchmark(
            fmt::format("attention/{}/rows:{}/keys:512/threads:{}", name, n_rows, n_threads).c_str(),
            [=](benchmark::State& state) { run_attention(state, *table, n_rows, 512, n_threads); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
    }
    benchmark::RegisterBenchmark(("row_ops/" + name).c_str(),
                                 [=](benchmark::State& state) { run_row_ops(state, *table); });
    benchmark::RegisterBenchmark(("log_sum_exp_argmax/" + name).c_str(),
                                 [=](benchmark::State& state) { run_logits(state, *table); });
  }
}

}  // namespace
}  // namespace lille

int main(int argc, char** argv) {
  lille::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
