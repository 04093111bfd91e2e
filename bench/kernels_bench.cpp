// Speed of the kernels at Lille-130M's shapes, for every table that this machine runs.
// Usage: kernels_bench --benchmark_filter='matmul/avx512/bf16'
// matmul names: table/kind/matrix/rows:N/threads:N; GFLOP/s counts 2 operations a weight and row, GB/s the
// weights' bytes as they are stored.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/kernel_table.h"
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
  double bytes_per_weight;
};

constexpr int64_t kGroupSize = 64;
constexpr Kind kKinds[] = {{"f32", WeightKind::kF32, 4},
                           {"f16", WeightKind::kF16, 2},
                           {"bf16", WeightKind::kBF16, 2},
                           {"q8", WeightKind::kQ8, 1 + 4.0 / kGroupSize}};

/// A matrix with small values and the memory it views.
struct OwnedMatrix {
  std::vector<std::byte> data;
  std::vector<uint16_t> scales;
  WeightMatrix view;
};

OwnedMatrix make_matrix(const Shape& shape, WeightKind kind) {
  const auto n_weights = static_cast<std::size_t>(shape.n_out * shape.n_in);
  OwnedMatrix matrix;
  matrix.view = {.kind = kind, .data = nullptr, .n_out = shape.n_out, .n_in = shape.n_in};
  std::minstd_rand random(1);
  const auto value = [&] { return static_cast<float>(random() % 1024) / 8192.0f - 0.0625f; };
  const std::size_t n_bytes = kind == WeightKind::kF32 ? 4 : kind == WeightKind::kQ8 ? 1 : 2;
  matrix.data.resize(n_weights * n_bytes);
  for (std::size_t idx = 0; idx < n_weights; ++idx) {
    const float f32 = value();
    const uint16_t half = kind == WeightKind::kF16 ? f32_to_f16(f32) : f32_to_bf16(f32);
    const auto code = static_cast<uint8_t>(random());
    const void* from = kind == WeightKind::kF32  ? static_cast<const void*>(&f32)
                       : kind == WeightKind::kQ8 ? static_cast<const void*>(&code)
                                                 : static_cast<const void*>(&half);
    std::memcpy(matrix.data.data() + idx * n_bytes, from, n_bytes);
  }
  if (kind == WeightKind::kQ8) {
    matrix.scales.assign(n_weights / kGroupSize, f32_to_bf16(1.0f / 2048));
    matrix.view.scales = matrix.scales.data();
    matrix.view.biases = matrix.scales.data();
    matrix.view.scale_kind = FloatKind::kBF16;
    matrix.view.group_size = kGroupSize;
  }
  matrix.view.data = matrix.data.data();
  return matrix;
}

/// All linear layers of the model (24 blocks and the logits) for n_rows rows: what a forward pass multiplies.
void run_model(benchmark::State& state, const KernelTable& table, const Kind& kind, int64_t n_rows,
               int64_t n_threads) {
  std::vector<OwnedMatrix> matrices;
  for (int64_t layer = 0; layer < kLayers; ++layer)
    for (const Shape& shape : kLayer) matrices.push_back(make_matrix(shape, kind.kind));
  if (n_rows == 1) matrices.push_back(make_matrix(kLogits, kind.kind));
  std::vector<float> x(static_cast<std::size_t>(n_rows * 1792), 0.5f);
  std::vector<float> out(static_cast<std::size_t>(n_rows * 32768));
  ThreadPool pool(n_threads);
  ops::Device device{table, pool, {}};
  double n_weights = 0;
  for (const OwnedMatrix& matrix : matrices)
    n_weights += static_cast<double>(matrix.view.n_out * matrix.view.n_in);
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
  state.counters["GB/s"] =
      benchmark::Counter(n_passes * 1e-9 * n_weights * kind.bytes_per_weight, benchmark::Counter::kIsRate);
  state.counters["tokens/s"] =
      benchmark::Counter(n_passes * static_cast<double>(n_rows), benchmark::Counter::kIsRate);
}

/// Attention of one layer: n_rows queries that end at n_keys.
void run_attention(benchmark::State& state, const KernelTable& table, int64_t n_rows, int64_t n_keys,
                   int64_t n_threads) {
  const ops::AttentionShape shape = {
      .n_head = 10, .n_kv_heads = 2, .head_dim = 64, .cache_kind = FloatKind::kF32};
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
  ops::Device device{table, pool, {}};
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
          benchmark::RegisterBenchmark(
              fmt::format("matmul/{}/{}/rows:{}/threads:{}", name, kind.name, n_rows, n_threads).c_str(),
              [=](benchmark::State& state) { run_model(state, *table, kind, n_rows, n_threads); })
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
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
