#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "lille/model.h"

namespace lille {

/// What is timed and how often.
struct BenchmarkOptions {
  std::vector<int64_t> threads;  ///< Each is measured by itself; empty: 1 and every usable processor.
  int64_t runs = 5;              ///< Timed runs of each work, after one to warm up; 1 to 1000.
  LoadOptions load;              ///< How the model is loaded.
  SessionOptions session;        ///< How it computes; n_threads is taken from `threads`.
  std::function<void(int64_t n_done, int64_t n_total)> on_progress;  ///< After each run; may be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the model.
};

/// One figure: a work at a number of threads.
struct Measurement {
  std::string work;  ///< "start", "prefill 128", "prefill 512", "decode 1", "decode 8": docs/PERFORMANCE.md
  int64_t threads = 0;  ///< Threads that worked.
  std::string unit;     ///< "s", or "tokens/s"
  double median = 0;    ///< Over the runs, in `unit`.
  double least = 0;     ///< The lowest of the runs.
  double most = 0;      ///< The highest of the runs.
  int64_t runs = 0;     ///< Timed runs.
  /// What this machine allows, in `unit`: for decode its read bandwidth divided by the bytes of a token, for
  /// prefill its arithmetic. 0 where nothing is known.
  double limit = 0;
  double bytes_per_token = 0;  ///< Weights and cache read for a token; decode only, else 0.
  double step_p50_s = 0;       ///< Median seconds of a step; decode only, else 0.
  double step_p99_s = 0;       ///< 99th percentile of them; decode only, else 0.
};

/// The figures of one model on this machine.
struct Benchmark {
  std::string kernels;  ///< Session::kernels()
  /// How fast the weights are read where they lie, median of as many measurements as runs; one for each of
  /// threads.
  std::vector<double> read_gb_per_s;
  std::vector<Measurement> measurements;  ///< In the order of `threads`, then of the works.
};

/// Times the model as its users meet it: `start` loads it, reads a prompt of 16 tokens and chooses one;
/// `prefill N` reads N tokens; `decode N` continues N sequences of 16 tokens by 64, each token the likeliest.
/// The works take turns, so that a machine that slows down slows all of them.
/// @throws Error as Model::load and Session; kInvalidArgument for runs or threads out of range, or a context
/// below 80
///   tokens; kCanceled.
Benchmark benchmark(const std::filesystem::path& model, const BenchmarkOptions& options = {});

}  // namespace lille
