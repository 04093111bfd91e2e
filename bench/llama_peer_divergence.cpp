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

// A model of llama.cpp's that is gone with it.
class PeerModel {
 public:
  PeerModel(const Llama& llama, const std::string& path) : llama_(llama), model_(llama.load(path)) {}
  ~PeerModel() { llama_.release(model_); }
  PeerModel(const PeerModel&) = delete;
  PeerModel& operator=(const PeerModel&) = delete;

  void* get() const { return model_; }

 private:
  const Llama& llama_;
  void* model_;
};

// llama.cpp, which reads one window after the other.
class Peer {
 public:
  Peer(const std::string& library_folder, const std::string& path, int32_t n_tokens, int32_t n_threads)
      : llama_(library_folder),
        model_(llama_, path),
        context_(llama_, model_.get(), params(), sizes(static_cast<uint32_t>(n_tokens)), n_threads) {}

  // All tokens of a window at once.
  void read(std::span<const int32_t> ids) const {
    std::vector<PeerToken> tokens;
    for (const int32_t id : ids) tokens.push_back({id, static_cast<int32_t>(tokens.size()), 0, true});
    context_.clear();
    context_.decode(tokens);
  }

  std::span<const float> logits(int64_t row, int64_t n_vocabulary) const {
    return {context_.logits(row), static_cast<std::size_t>(n_vocabulary)};
  }

 private:
  static ContextParams sizes(uint32_t n_tokens) { return {n_tokens, n_tokens, n_tokens, 1}; }
  Params params() const {
    Params params = llama_.context_params();
    replace(params, kFlashAttentionAt, kFlashAttentionAuto, 0);
    replace(params, kKeyTypeAt, kTypeF16, kTypeF32);
    replace(params, kValueTypeAt, kTypeF16, kTypeF32);
    return params;
  }

  Llama llama_;
  PeerModel model_;
  PeerContext context_;
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

struct Mean {
  double value;
  double error;  // Standard error.
};

Mean mean_of(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / n;
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean) / n;
  return {mean, std::sqrt(variance / n)};
}

class Divergences {
 public:
  void add(std::span<const float> exact, std::span<const float> rounded) {
    kl_.push_back(divergence_of(exact, rounded));
    n_same_ += std::ranges::max_element(exact) - exact.begin() ==
               std::ranges::max_element(rounded) - rounded.begin();
  }
  void print(std::string_view name) const {
    const Mean mean = mean_of(kl_);
    std::vector<double> sorted = kl_;
    std::ranges::sort(sorted);
    const auto rank = static_cast<std::size_t>(std::ceil(0.999 * static_cast<double>(sorted.size())));
    fmt::print("{:10} mean KL {:.3e} +/- {:.1e} nats, 99.9 % below {:.2e}, same likeliest token {:.2f} %\n",
               name, mean.value, mean.error, sorted[rank - 1],
               100.0 * static_cast<double>(n_same_) / static_cast<double>(sorted.size()));
  }
  // Prediction by prediction.
  void print_less(const Divergences& other) const {
    std::vector<double> differences;
    for (std::size_t idx = 0; idx < kl_.size(); ++idx) differences.push_back(kl_[idx] - other.kl_[idx]);
    const Mean mean = mean_of(differences);
    fmt::print("{:10} mean KL {:+.3e} +/- {:.1e} nats\n", "difference", mean.value, mean.error);
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
  std::optional<Peer> peer;
  if (std::string_view(argv[1]) != "-")
    peer.emplace(argv[1], argv[2], static_cast<int32_t>(window), n_threads);
  Divergences ours, theirs;
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
  if (!peer) return 0;
  theirs.print("llama.cpp");
  ours.print_less(theirs);
  return 0;
}

}  // namespace
}  // namespace lille

int main(int argc, char** argv) { return lille::peer_main("llama_peer_divergence", lille::run, argc, argv); }
