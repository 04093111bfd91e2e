// Speed of llama.cpp on a GGUF file, in the form of `lille bench --json`, so that `lille bench --compare`
// sets the two side by side. The library is the one inside npm's node-llama-cpp; it is loaded at run time and
// nothing of it is linked. Usage: llama_peer_bench LIBRARY_FOLDER MODEL.gguf THREADS RUNS > peer.json

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "llama_library.h"

namespace lille {
namespace {

// Sequences that go on in step, with made-up tokens and the greedy choice after the last of each.
class Sequences {
 public:
  Sequences(const Llama& llama, void* model, int32_t n_sequences, int32_t n_threads)
      : n_sequences_(n_sequences),
        context_(llama, model, llama.context_params(),
                 {512 * static_cast<uint32_t>(n_sequences), 512, 512, static_cast<uint32_t>(n_sequences)},
                 n_threads) {}

  void clear() const { context_.clear(); }

  // `n_tokens` tokens of each sequence from `position` on.
  void read(int32_t n_tokens, int32_t position) const {
    std::vector<PeerToken> tokens;
    for (int32_t sequence = 0; sequence < n_sequences_; ++sequence)
      for (int32_t idx = 0; idx < n_tokens; ++idx)
        tokens.push_back({(7919 * (position + idx) + 31 * sequence) % 32000, position + idx, sequence,
                          idx + 1 == n_tokens});
    context_.decode(tokens);
    for (int32_t sequence = 0; sequence < n_sequences_; ++sequence) {
      const float* logits = context_.logits((sequence + 1) * n_tokens - 1);
      chosen_ += std::max_element(logits, logits + 32768) - logits;
    }
  }

 private:
  int32_t n_sequences_;
  PeerContext context_;
  mutable int64_t chosen_ = 0;
};

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

nlohmann::json measured(const std::string& work, int32_t n_threads, const std::string& unit,
                        std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {{"work", work},
          {"threads", n_threads},
          {"unit", unit},
          {"median", values[values.size() / 2]},
          {"least", values.front()},
          {"most", values.back()},
          {"runs", values.size()}};
}

// Runs `work` once to warm up and then `n_runs` times; `value` turns its seconds into what is reported.
std::vector<double> repeat(int n_runs, const std::function<void()>& work,
                           const std::function<double(double)>& value) {
  std::vector<double> values;
  work();
  for (int run = 0; run < n_runs; ++run) values.push_back(value(seconds_of(work)));
  return values;
}

nlohmann::json measure(const Llama& llama, const std::string& path, int32_t n_threads, int n_runs) {
  constexpr int32_t kPrompt = 16;
  constexpr int32_t kAnswer = 64;
  nlohmann::json results = nlohmann::json::array();
  results.push_back(measured("start", n_threads, "s",
                             repeat(
                                 n_runs,
                                 [&] {
                                   void* model = llama.load(path);
                                   { Sequences(llama, model, 1, n_threads).read(kPrompt, 0); }
                                   llama.release(model);
                                 },
                                 [](double s) { return s; })));
  void* model = llama.load(path);
  for (const int32_t n_tokens : {128, 512}) {
    const Sequences sequences(llama, model, 1, n_threads);
    results.push_back(measured(fmt::format("prefill {}", n_tokens), n_threads, "tokens/s",
                               repeat(
                                   n_runs,
                                   [&] {
                                     sequences.clear();
                                     sequences.read(n_tokens, 0);
                                   },
                                   [&](double s) { return n_tokens / s; })));
  }
  for (const int32_t n_sequences : {1, 8}) {
    const Sequences sequences(llama, model, n_sequences, n_threads);
    std::vector<double> values;
    for (int run = -1; run < n_runs; ++run) {
      sequences.clear();
      for (int32_t position = 0; position < kPrompt; ++position) sequences.read(1, position);
      const double seconds = seconds_of([&] {
        for (int32_t idx = 0; idx < kAnswer; ++idx) sequences.read(1, kPrompt + idx);
      });
      if (run >= 0) values.push_back(kAnswer * n_sequences / seconds);
    }
    results.push_back(measured(fmt::format("decode {}", n_sequences), n_threads, "tokens/s", values));
  }
  llama.release(model);
  return results;
}

int run(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: llama_peer_bench LIBRARY_FOLDER MODEL.gguf THREADS RUNS\n");
    return 2;
  }
  const Llama llama(argv[1]);
  const nlohmann::json report = {
      {"program", library_file(argv[1], "libllama.").filename().string()},
      {"model", std::filesystem::path(argv[2]).filename().string()},
      {"results", measure(llama, argv[2], std::stoi(argv[3]), std::stoi(argv[4]))}};
  fmt::print("{}\n", report.dump(2));
  return 0;
}

}  // namespace
}  // namespace lille

int main(int argc, char** argv) { return lille::peer_main("llama_peer_bench", lille::run, argc, argv); }
