// Speed of llama.cpp on a GGUF file, in the form of `lille bench --json`, so that `lille bench --compare`
// sets the two side by side. The library is the one inside npm's node-llama-cpp; it is loaded at run time and
// nothing of it is linked. Usage: llama_peer_bench LIBRARY_FOLDER MODEL.gguf THREADS RUNS > peer.json

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama_library.h"

namespace lille {
namespace {

// A context of one model with its threads.
class Context {
 public:
  Context(const Llama& llama, void* model, uint32_t n_sequences, int32_t n_threads) : llama_(llama.llama) {
    Params params = llama_.find<Params()>("llama_context_default_params")();
    const ContextParams sizes = {512 * n_sequences, 512, 512, n_sequences};
    std::memcpy(params.bytes.data(), &sizes, sizeof(sizes));
    context_ = llama_.find<void*(void*, Params)>("llama_init_from_model")(model, params);
    if (context_ == nullptr || llama_.find<uint32_t(void*)>("llama_n_seq_max")(context_) != n_sequences)
      throw std::runtime_error(
          "llama.cpp made no such context: its parameters begin otherwise than they did");
    llama_.find<void(void*, int32_t, int32_t)>("llama_set_n_threads")(context_, n_threads, n_threads);
  }
  ~Context() { llama_.find<void(void*)>("llama_free")(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void clear() const {
    llama_.find<void(void*, bool)>("llama_memory_clear")(
        llama_.find<void*(void*)>("llama_get_memory")(context_), false);
  }

  // `n_tokens` tokens of each sequence from `position` on, with the logits of the last of each, and its
  // greedy choice.
  void decode(int32_t n_sequences, int32_t n_tokens, int32_t position) const {
    std::vector<int32_t> tokens, positions, sequences, counts;
    std::vector<int8_t> wants_logits;
    for (int32_t sequence = 0; sequence < n_sequences; ++sequence)
      for (int32_t idx = 0; idx < n_tokens; ++idx) {
        tokens.push_back((7919 * (position + idx) + 31 * sequence) % 32000);
        positions.push_back(position + idx);
        sequences.push_back(sequence);
        counts.push_back(1);
        wants_logits.push_back(idx + 1 == n_tokens ? 1 : 0);
      }
    std::vector<int32_t*> sequence_of;
    for (int32_t& sequence : sequences) sequence_of.push_back(&sequence);
    const Batch batch = {static_cast<int32_t>(tokens.size()),
                         tokens.data(),
                         nullptr,
                         positions.data(),
                         counts.data(),
                         sequence_of.data(),
                         wants_logits.data()};
    if (llama_.find<int32_t(void*, Batch)>("llama_decode")(context_, batch) != 0)
      throw std::runtime_error("llama_decode failed");
    for (int32_t sequence = 0; sequence < n_sequences; ++sequence) {
      const float* logits = llama_.find<float*(void*, int32_t)>("llama_get_logits_ith")(
          context_, (sequence + 1) * n_tokens - 1);
      chosen_ += std::max_element(logits, logits + 32768) - logits;
    }
  }

 private:
  const Library& llama_;
  void* context_ = nullptr;
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
                                   { Context(llama, model, 1, n_threads).decode(1, kPrompt, 0); }
                                   llama.release(model);
                                 },
                                 [](double s) { return s; })));
  void* model = llama.load(path);
  for (const int32_t n_tokens : {128, 512}) {
    const Context context(llama, model, 1, n_threads);
    results.push_back(measured(fmt::format("prefill {}", n_tokens), n_threads, "tokens/s",
                               repeat(
                                   n_runs,
                                   [&] {
                                     context.clear();
                                     context.decode(1, n_tokens, 0);
                                   },
                                   [&](double s) { return n_tokens / s; })));
  }
  for (const int32_t n_sequences : {1, 8}) {
    const Context context(llama, model, static_cast<uint32_t>(n_sequences), n_threads);
    std::vector<double> values;
    for (int run = -1; run < n_runs; ++run) {
      context.clear();
      for (int32_t position = 0; position < kPrompt; ++position) context.decode(n_sequences, 1, position);
      const double seconds = seconds_of([&] {
        for (int32_t idx = 0; idx < kAnswer; ++idx) context.decode(n_sequences, 1, kPrompt + idx);
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

int main(int argc, char** argv) {
  try {
    return lille::run(argc, argv);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "llama_peer_bench: {}\n", failure.what());
    return 1;
  }
}
