#include "lille/benchmark.h"

#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace lille {
namespace {

std::filesystem::path small_model() { return test::source_path("models/lille-tiny-8bit"); }

TEST(Benchmark, EveryWorkIsMeasuredForEveryNumberOfThreads) {
  BenchmarkOptions options;
  options.threads = {2, 1};
  options.runs = 2;
  int64_t n_calls = 0;
  options.on_progress = [&](int64_t n_done, int64_t n_total) {
    EXPECT_EQ(n_done, ++n_calls);
    EXPECT_EQ(n_total, 2 * 5 * 3);
  };
  const Benchmark bench = benchmark(small_model(), options);
  EXPECT_EQ(n_calls, 30);
  ASSERT_EQ(bench.measurements.size(), 10U);
  ASSERT_EQ(bench.read_gb_per_s.size(), 2U);
  std::set<std::pair<std::string, int64_t>> seen;
  for (const Measurement& measured : bench.measurements) {
    seen.emplace(measured.work, measured.threads);
    EXPECT_EQ(measured.runs, 2);
    EXPECT_GT(measured.least, 0);
    EXPECT_LE(measured.least, measured.median);
    EXPECT_LE(measured.median, measured.most);
    EXPECT_EQ(measured.unit, measured.work == "start" ? "s" : "tokens/s");
    EXPECT_EQ(measured.limit > 0, measured.work != "start") << measured.work;
    EXPECT_LE(measured.step_p50_s, measured.step_p99_s);
  }
  for (const char* work : {"start", "prefill 128", "prefill 512", "decode 1", "decode 8"})
    for (const int64_t threads : {1, 2}) EXPECT_TRUE(seen.contains({work, threads})) << work << threads;
}

// A token of one sequence reads all weights, one of eight an eighth, and each the keys and values that are
// there: 16 of the prompt and on average half of 65 of the answer, in float32, half of that, or in 8 bits and
// for each 32 elements a scale of 16.
TEST(Benchmark, BytesOfATokenAreItsWeightsAndItsCache) {
  const Model model = Model::load(small_model());
  int64_t weights = 0;
  for (const Model::Part& part : model.parts()) weights += part.n_bytes;
  const ModelArgs& args = model.args();
  const double cache = 2 * 4 * (16 + 32.5) * static_cast<double>(args.n_layer * args.kv_size());
  BenchmarkOptions options;
  options.threads = {1};
  options.runs = 1;
  for (const auto& [type, share] : {std::pair(CacheType::kF32, 1.0), std::pair(CacheType::kBF16, 0.5),
                                    std::pair(CacheType::kQ8_0, (32 + 2) / (32.0 * 4))}) {
    options.session.cache_type = type;
    for (const Measurement& measured : benchmark(small_model(), options).measurements) {
      if (measured.work == "decode 1") {
        EXPECT_DOUBLE_EQ(measured.bytes_per_token, static_cast<double>(weights) + share * cache);
      }
      if (measured.work == "decode 8") {
        EXPECT_DOUBLE_EQ(measured.bytes_per_token, static_cast<double>(weights) / 8 + share * cache);
      }
    }
  }
}

TEST(Benchmark, BadOptionsAreRefused) {
  BenchmarkOptions options;
  options.runs = 0;
  test::expect_error(ErrorCode::kInvalidArgument, "runs", [&] { benchmark(small_model(), options); });
  options.runs = 1;
  options.threads = {-1};
  test::expect_error(ErrorCode::kInvalidArgument, "threads", [&] { benchmark(small_model(), options); });
}

TEST(Benchmark, CancelingEndsIt) {
  BenchmarkOptions options;
  std::stop_source source;
  options.cancel = source.get_token();
  options.on_progress = [&](int64_t, int64_t) { source.request_stop(); };
  test::expect_error(ErrorCode::kCanceled, "", [&] { benchmark(small_model(), options); });
}

}  // namespace
}  // namespace lille
