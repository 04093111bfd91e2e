// What rounding activations costs llama.cpp and lille.cpp on one and the same file: the divergence of the
// predictions of each from those of exact products (Session with `exact`). llama.cpp has a float32 cache and
// no flash attention, as here, so that its products with weights are what differs. Usage:
// llama_peer_divergence LIBRARY_FOLDER MODEL.gguf IDS.u16 N_WINDOWS THREADS

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <span>
#include <vector>

#include "lille/model.h"
#include "llama_library.h"

namespace lille {
namespace {

// Where version 0.5.0 of the library has them in its parameters of a context, and what it has there by
// itself.
constexpr std::size_t kFlashAttentionAt = 52;
constexpr std::size_t kKeyTypeAt = 104;
constexpr std::size_t kValueTypeAt = 108;
constexpr int32_t kFlashAttentionAuto = -1;
constexpr int32_t kTypeF32 = 0;
constexpr int32_t kTypeF16 = 1;

void replace(Params& params, std::size_t at, int32_t expected, int32_t value) {
  int32_t found;
  std::memcpy(&found, params.bytes.data() + at, sizeof(found));
  if (found != expected)
    throw std::runtime_error(
        fmt::format("the parameters of a context have {} at byte {}, not {}: another version of the library?",
                    found, at, expected));
  std::memcpy(params.bytes.data() + at, &value, sizeof(value));
}

// A model and a context of llama.cpp's, which reads one window after the other.
class Peer {
 public:
  Peer(const Llama& llama, const std::string& path, int32_t n_tokens, int32_t n_threads)
      : llama_(llama), model_(llama.load(path)) {
    Params params = llama_.llama.find<Params()>("llama_context_default_params")();
    const auto n = static_cast<uint32_t>(n_tokens);
    const ContextParams sizes = {n, n, n, 1};
    std::memcpy(params.bytes.data(), &sizes, sizeof(sizes));
    replace(params, kFlashAttentionAt, kFlashAttentionAuto, 0);
    replace(params, kKeyTypeAt, kTypeF16, kTypeF32);
    replace(params, kValueTypeAt, kTypeF16, kTypeF32);
    context_ = llama_.llama.find<void*(void*, Params)>("llama_init_from_model")(model_, params);
    if (context_ == nullptr) throw std::runtime_error("llama.cpp made no context");
    llama_.llama.find<void(void*, int32_t, int32_t)>("llama_set_n_threads")(context_, n_threads, n_threads);
  }
  ~Peer() {
    llama_.llama.find<void(void*)>("llama_free")(context_);
    llama_.release(model_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // All tokens of a window at once.
  void read(std::span<const int32_t> ids) {
    llama_.llama.find<void(void*, bool)>("llama_memory_clear")(
        llama_.llama.find<void*(void*)>("llama_get_memory")(context_), false);
    std::vector<int32_t> tokens(ids.begin(), ids.end());
    std::vector<int32_t> positions(ids.size());
    for (std::size_t idx = 0; idx < ids.size(); ++idx) positions[idx] = static_cast<int32_t>(idx);
    std::vector<int32_t> counts(ids.size(), 1);
    int32_t sequence = 0;
    std::vector<int32_t*> sequence_of(ids.size(), &sequence);
    std::vector<int8_t> wants_logits(ids.size(), 1);
    const Batch batch = {static_cast<int32_t>(ids.size()),
                         tokens.data(),
                         nullptr,
                         positions.data(),
                         counts.data(),
                         sequence_of.data(),
                         wants_logits.data()};
    if (llama_.llama.find<int32_t(void*, Batch)>("llama_decode")(context_, batch) != 0)
      throw std::runtime_error("llama_decode failed");
  }

  std::span<const float> logits(int64_t row, int64_t n_vocabulary) const {
    const float* values = llama_.llama.find<float*(void*, int32_t)>("llama_get_logits_ith")(
        context_, static_cast<int32_t>(row));
    if (values == nullptr) throw std::runtime_error(fmt::format("llama.cpp has no logits of token {}", row));
    return {values, static_cast<std::size_t>(n_vocabulary)};
  }

 private:
  const Llama& llama_;
  void* model_;
  void* context_ = nullptr;
};

// KL(softmax(a) || softmax(b)), nats.
double divergence_of(std::span<const float> a, std::span<const float> b) {
  const double max_a = *std::ranges::max_element(a);
  const double max_b = *std::ranges::max_element(b);
  double sum_a = 0, sum_b = 0, weighted = 0;
  for (std::size_t id = 0; id < a.size(); ++id) {
    const double weight = std::exp(a[id] - max_a);
    sum_a += weight;
    sum_b += std::exp(b[id] - max_b);
    weighted += weight * ((a[id] - max_a) - (b[id] - max_b));
  }
  return weighted / sum_a - std::log(sum_a) + std::log(sum_b);
}

class Sums {
 public:
  void add(std::span<const float> exact, std::span<const float> rounded) {
    kl_.push_back(divergence_of(exact, rounded));
    n_same_ += std::ranges::max_element(exact) - exact.begin() ==
               std::ranges::max_element(rounded) - rounded.begin();
  }
  void print(std::string_view name) {
    double mean = 0;
    for (const double kl : kl_) mean += kl / static_cast<double>(kl_.size());
    double variance = 0;
    for (const double kl : kl_) variance += (kl - mean) * (kl - mean) / static_cast<double>(kl_.size());
    std::ranges::sort(kl_);
    const auto rank = static_cast<std::size_t>(std::ceil(0.999 * static_cast<double>(kl_.size())));
    fmt::print("{:10} mean KL {:.3e} +/- {:.1e} nats, 99.9 % below {:.2e}, same likeliest token {:.2f} %\n",
               name, mean, std::sqrt(variance / static_cast<double>(kl_.size())), kl_[rank - 1],
               100.0 * static_cast<double>(n_same_) / static_cast<double>(kl_.size()));
  }

 private:
  std::vector<double> kl_;
  int64_t n_same_ = 0;
};

std::vector<int32_t> read_ids(const char* path, int64_t n_wanted) {
  std::ifstream file(path, std::ios::binary);
  std::vector<uint16_t> stored(static_cast<std::size_t>(n_wanted));
  file.read(reinterpret_cast<char*>(stored.data()), static_cast<std::streamsize>(2 * n_wanted));
  if (file.gcount() != static_cast<std::streamsize>(2 * n_wanted))
    throw std::runtime_error(fmt::format("{} has not {} ids of 16 bits", path, n_wanted));
  return {stored.begin(), stored.end()};
}

Logits predict(Session& session, std::span<const int32_t> ids) {
  PromptCache cache = make_prompt_cache(session);
  const BatchItem item = {ids, &cache, LogitsFor::kAll};
  return session.forward(std::span(&item, 1));
}

int run(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: llama_peer_divergence LIBRARY_FOLDER|- MODEL IDS.u16 N_WINDOWS THREADS\n");
    return 2;
  }
  const int32_t n_windows = std::stoi(argv[4]);
  if (n_windows < 1) {
    fmt::print(stderr, "N_WINDOWS: expected 1 or more, got {}\n", n_windows);
    return 2;
  }
  const int32_t n_threads = std::stoi(argv[5]);
  const Model model = Model::load(argv[2]);
  const int64_t window = model.args().block_size;
  const std::vector<int32_t> ids = read_ids(argv[3], n_windows * window);
  Session exact(model, {.n_threads = n_threads, .exact = true});
  Session rounded(model, {.n_threads = n_threads});
  std::optional<Llama> llama;
  std::optional<Peer> peer;
  if (std::string_view(argv[1]) != "-") {
    llama.emplace(argv[1]);
    peer.emplace(*llama, argv[2], static_cast<int32_t>(window), n_threads);
  }
  Sums ours, theirs;
  for (std::size_t begin = 0; begin < ids.size(); begin += static_cast<std::size_t>(window)) {
    const auto tokens = std::span(ids).subspan(begin, static_cast<std::size_t>(window));
    const Logits reference = predict(exact, tokens);
    const Logits logits = predict(rounded, tokens);
    if (peer) peer->read(tokens);
    for (int64_t row = 0; row < window; ++row) {
      ours.add(reference.row(row), logits.row(row));
      if (peer) theirs.add(reference.row(row), peer->logits(row, reference.vocab_size));
    }
  }
  fmt::print("{} tokens, kernels {}\n", ids.size(), rounded.kernels());
  ours.print("lille.cpp");
  if (peer) theirs.print("llama.cpp");
  return 0;
}

}  // namespace
}  // namespace lille

int main(int argc, char** argv) {
  try {
    return lille::run(argc, argv);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "llama_peer_divergence: {}\n", failure.what());
    return 1;
  }
}
