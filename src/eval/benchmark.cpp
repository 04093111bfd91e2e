#include "lille/benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/check.h"
#include "base/thread_pool.h"
#include "eval/limits.h"

namespace lille {
namespace {

constexpr int64_t kPromptTokens = 16;
constexpr int64_t kAnswerTokens = 64;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Ids without a pattern, the same in every run.
std::vector<int32_t> prompt_ids(int64_t n_tokens, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int64_t idx = 0; idx < n_tokens; ++idx)
    ids.push_back(static_cast<int32_t>(7919 * (idx + 1) % vocab_size));
  return ids;
}

int32_t likeliest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// What one run gave.
struct Run {
  double value = 0;
  std::vector<double> step_seconds;
};

// The works on one session.
class Bench {
 public:
  Bench(const std::filesystem::path& path, const BenchmarkOptions& options, int64_t n_threads)
      : path_(path), options_(options), session_options_(options.session) {
    session_options_.n_threads = n_threads;
    session_ = std::make_unique<Session>(Model::load(path, options.load), session_options_);
  }

  Session& session() noexcept { return *session_; }

  // Seconds until the first token of an answer is chosen.
  Run start() {
    const auto begin = std::chrono::steady_clock::now();
    Session session(Model::load(path_, options_.load), session_options_);
    PromptCache cache = make_prompt_cache(session);
    const std::vector<int32_t> ids = prompt_ids(kPromptTokens, session.model().args().vocab_size);
    const BatchItem item = {ids, &cache, LogitsFor::kLast};
    likeliest(session.forward(std::span(&item, 1), {options_.cancel, {}, nullptr}).row(0));
    return {seconds_since(begin), {}};
  }

  // Tokens/s of one pass over a prompt.
  Run prefill(int64_t n_tokens) {
    PromptCache cache = make_prompt_cache(*session_);
    const std::vector<int32_t> ids = prompt_ids(n_tokens, session_->model().args().vocab_size);
    const BatchItem item = {ids, &cache, LogitsFor::kLast};
    const auto begin = std::chrono::steady_clock::now();
    session_->forward(std::span(&item, 1), {options_.cancel, {}, nullptr});
    return {static_cast<double>(n_tokens) / seconds_since(begin), {}};
  }

  // Tokens/s of all answers together.
  Run decode(int64_t n_sequences) {
    std::vector<std::vector<int32_t>> next;
    std::vector<PromptCache> caches;
    for (int64_t idx = 0; idx < n_sequences; ++idx) {
      next.push_back(prompt_ids(kPromptTokens + idx, session_->model().args().vocab_size));
      next.back().erase(next.back().begin(), next.back().begin() + idx);
      caches.push_back(make_prompt_cache(*session_));
    }
    step(next, caches);
    Run run;
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t token = 0; token < kAnswerTokens; ++token) {
      const auto step_begin = std::chrono::steady_clock::now();
      step(next, caches);
      run.step_seconds.push_back(seconds_since(step_begin));
    }
    run.value = static_cast<double>(n_sequences * kAnswerTokens) / seconds_since(begin);
    return run;
  }

 private:
  // Reads what comes next in every sequence and replaces it by the likeliest token.
  void step(std::vector<std::vector<int32_t>>& next, std::vector<PromptCache>& caches) {
    std::vector<BatchItem> batch;
    for (std::size_t idx = 0; idx < next.size(); ++idx)
      batch.push_back({next[idx], &caches[idx], LogitsFor::kLast});
    const Logits logits = session_->forward(batch, {options_.cancel, {}, nullptr});
    for (std::size_t idx = 0; idx < next.size(); ++idx)
      next[idx] = {likeliest(logits.row(static_cast<int64_t>(idx)))};
  }

  const std::filesystem::path& path_;
  const BenchmarkOptions& options_;
  SessionOptions session_options_;
  std::unique_ptr<Session> session_;
};

// A work and the runs it had.
struct Work {
  std::string name;
  std::string unit;
  std::function<Run(Bench&)> run;
  int64_t n_sequences = 0;  // that decode; 0 for other works
  int64_t n_prompt = 0;     // tokens of a prompt; 0 for other works
  std::vector<double> values = {};
  std::vector<double> step_seconds = {};
};

std::vector<Work> works_of(int64_t block_size) {
  std::vector<Work> works;
  works.push_back({"start", "s", [](Bench& bench) { return bench.start(); }});
  for (const int64_t n_tokens : {128, 512})
    if (n_tokens <= block_size)
      works.push_back({fmt::format("prefill {}", n_tokens), "tokens/s",
                       [n_tokens](Bench& bench) { return bench.prefill(n_tokens); }, 0, n_tokens});
  for (const int64_t n_sequences : {1, 8})
    works.push_back({fmt::format("decode {}", n_sequences), "tokens/s",
                     [n_sequences](Bench& bench) { return bench.decode(n_sequences); }, n_sequences});
  return works;
}

int64_t weights_bytes(const Model& model) {
  int64_t n_bytes = 0;
  for (const Model::Part& part : model.parts()) n_bytes += part.n_bytes;
  return n_bytes;
}

// Weights are read once for all sequences of a step, the cache by each.
double bytes_per_token(const Model& model, CacheType cache_type, int64_t n_sequences) {
  const double n_keys = static_cast<double>(kPromptTokens) + static_cast<double>(kAnswerTokens + 1) / 2;
  return static_cast<double>(weights_bytes(model)) / static_cast<double>(n_sequences) +
         n_keys * static_cast<double>(cache_bytes_per_token(model.args(), cache_type));
}

Measurement measurement_of(const Work& work, Bench& bench, const Limits& limits) {
  Measurement result;
  result.work = work.name;
  result.unit = work.unit;
  result.threads = bench.session().n_threads();
  result.runs = static_cast<int64_t>(work.values.size());
  result.median = percentile(work.values, 0.5);
  const auto [least, most] = std::ranges::minmax_element(work.values);
  result.least = *least;
  result.most = *most;
  if (work.n_prompt > 0) result.limit = limits.prefill_tokens_per_s(work.n_prompt);
  if (work.n_sequences == 0) return result;
  result.bytes_per_token =
      bytes_per_token(bench.session().model(), bench.session().cache_type(), work.n_sequences);
  result.limit = 1e9 * limits.read_gb_per_s() / result.bytes_per_token;
  result.step_p50_s = percentile(work.step_seconds, 0.5);
  result.step_p99_s = percentile(work.step_seconds, 0.99);
  return result;
}

void check_options(const BenchmarkOptions& options, const ModelArgs& args) {
  if (options.runs < 1 || options.runs > 1000)
    raise(ErrorCode::kInvalidArgument, "[benchmark] runs: expected 1 to 1000, got {}", options.runs);
  if (args.block_size < kPromptTokens + kAnswerTokens)
    raise(ErrorCode::kInvalidArgument,
          "[benchmark] expected a model with a context of at least {} tokens, got one of {}",
          kPromptTokens + kAnswerTokens, args.block_size);
}

}  // namespace

Benchmark benchmark(const std::filesystem::path& model, const BenchmarkOptions& options) {
  std::vector<int64_t> threads = options.threads;
  if (threads.empty()) {
    threads.push_back(1);
    if (n_usable_cpus() > 1) threads.push_back(n_usable_cpus());
  }
  Benchmark result;
  int64_t n_done = 0;
  for (const int64_t n_threads : threads) {
    Bench bench(model, options, n_threads);
    const ModelArgs& args = bench.session().model().args();
    check_options(options, args);
    result.kernels = bench.session().kernels();
    std::vector<Work> works = works_of(args.block_size);
    Limits limits(bench.session().model(), options.session, n_threads);
    const auto n_total = static_cast<int64_t>(threads.size() * works.size()) * (options.runs + 1);
    for (int64_t run_idx = -1; run_idx < options.runs; ++run_idx) {
      for (Work& work : works) {
        const Run run = work.run(bench);
        if (options.on_progress) options.on_progress(++n_done, n_total);
        if (run_idx < 0) continue;
        work.values.push_back(run.value);
        work.step_seconds.insert(work.step_seconds.end(), run.step_seconds.begin(), run.step_seconds.end());
      }
      if (run_idx >= 0) limits.measure();
    }
    result.read_gb_per_s.push_back(limits.read_gb_per_s());
    for (const Work& work : works) result.measurements.push_back(measurement_of(work, bench, limits));
  }
  return result;
}

}  // namespace lille
