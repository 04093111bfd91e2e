#include "server/prefix_cache.h"

#include <algorithm>
#include <array>
#include <new>

#include "base/check.h"
#include "model/access.h"
#include "model/kv_cache.h"

namespace lille {
namespace {

int64_t common_prefix(std::span<const int32_t> left, std::span<const int32_t> right) {
  return std::ranges::mismatch(left, right).in1 - left.begin();
}

// Keys and values of some tokens, (n_layer, 2, n_kv_heads, n_tokens, head_dim).
std::vector<std::byte> copy_of(const PromptCache& cache, int64_t begin, int64_t n_tokens) {
  std::vector<std::byte> data;
  const std::span<const KVCache> layers = Access::layers(cache);
  const auto bytes = static_cast<std::size_t>(layers.front().row_bytes());
  const auto from = static_cast<std::size_t>(begin) * bytes;
  const auto n_bytes = static_cast<std::size_t>(n_tokens) * bytes;
  data.reserve(layers.size() * 2 * static_cast<std::size_t>(layers.front().n_kv_heads()) * n_bytes);
  for (const KVCache& layer : layers)
    for (const auto held : {&KVCache::keys, &KVCache::values})
      for (int64_t head_idx = 0; head_idx < layer.n_kv_heads(); ++head_idx) {
        const std::span<const std::byte> part = (layer.*held)(head_idx).subspan(from, n_bytes);
        data.insert(data.end(), part.begin(), part.end());
      }
  return data;
}

}  // namespace

struct PrefixCache::Node {
  std::vector<int32_t> tokens;  // fewer than kBlockTokens only if nothing follows
  std::vector<std::byte> data;  // as copy_of()
  Node* parent = nullptr;
  std::vector<Node*> children = {};
  Order::iterator place = {};

  int64_t n_bytes() const {
    return static_cast<int64_t>(sizeof(Node) + tokens.size() * sizeof(int32_t) + data.size());
  }
  bool is_full() const { return static_cast<int64_t>(tokens.size()) == kBlockTokens; }
};

PrefixCache::PrefixCache(int64_t max_bytes) : max_bytes_(max_bytes), root_(std::make_unique<Node>()) {
  if (max_bytes < 0)
    raise(ErrorCode::kInvalidArgument, "[prefix_cache] max_bytes: expected 0 or more, got {}", max_bytes);
}

PrefixCache::~PrefixCache() = default;

std::vector<PrefixCache::Match> PrefixCache::matches(std::span<const int32_t> tokens) const {
  std::vector<Match> path;
  const Node* node = root_.get();
  while (!tokens.empty()) {
    Match best = {nullptr, 0};
    for (Node* child : node->children) {
      const int64_t n_tokens = common_prefix(child->tokens, tokens);
      if (n_tokens > best.n_tokens) best = {child, n_tokens};
    }
    if (best.node == nullptr) break;
    path.push_back(best);
    if (best.n_tokens < kBlockTokens) break;
    tokens = tokens.subspan(static_cast<std::size_t>(best.n_tokens));
    node = best.node;
  }
  return path;
}

int64_t PrefixCache::n_reusable(std::span<const int32_t> prompt) const {
  if (prompt.empty()) return 0;
  int64_t n_tokens = 0;
  for (const Match& match : matches(prompt.first(prompt.size() - 1))) n_tokens += match.n_tokens;
  return n_tokens;
}

int64_t PrefixCache::restore(PromptCache& cache, std::span<const int32_t> prompt, int64_t max_tokens) {
  LILLE_CHECK(cache.offset() == 0 && max_tokens >= 0);
  const auto n_readable =
      std::min(prompt.empty() ? 0 : prompt.size() - 1, static_cast<std::size_t>(max_tokens));
  const std::vector<Match> path = matches(prompt.first(n_readable));
  touch(path);
  int64_t n_tokens = 0;
  for (const Match& match : path) n_tokens += match.n_tokens;
  ++stats_.n_lookups;
  stats_.n_prompt_tokens += static_cast<int64_t>(prompt.size());
  if (n_tokens == 0) return 0;
  ++stats_.n_hits;
  stats_.n_reused_tokens += n_tokens;

  std::size_t layer_idx = 0;
  for (KVCache& layer : Access::layers(cache)) {
    const auto bytes = static_cast<std::size_t>(layer.row_bytes());
    const auto n_heads = static_cast<std::size_t>(layer.n_kv_heads());
    std::array<std::vector<std::byte>, 2> held;  // keys and values, (n_kv_heads, n_tokens, head_dim)
    for (std::size_t kind = 0; kind < held.size(); ++kind) {
      held[kind].reserve(n_heads * static_cast<std::size_t>(n_tokens) * bytes);
      for (std::size_t head_idx = 0; head_idx < n_heads; ++head_idx)
        for (const Match& match : path) {
          const std::size_t head_bytes = match.node->tokens.size() * bytes;
          const std::byte* head =
              match.node->data.data() + ((layer_idx * 2 + kind) * n_heads + head_idx) * head_bytes;
          held[kind].insert(held[kind].end(), head, head + static_cast<std::size_t>(match.n_tokens) * bytes);
        }
    }
    layer.assign(n_tokens, held[0], held[1]);
    ++layer_idx;
  }
  Access::append(cache, prompt.first(static_cast<std::size_t>(n_tokens)), kernels_);
  return n_tokens;
}

void PrefixCache::keep(const PromptCache& cache) {
  if (max_bytes_ == 0 || cache.offset() == 0) return;
  if (cache.kernels() != kernels_) {
    while (!order_.empty()) remove(*order_.back());
    kernels_ = cache.kernels();
  }
  try {
    keep_blocks(cache);
  } catch (const std::bad_alloc&) {
    // The answer whose cache this is goes on without.
  }
  shrink();
}

void PrefixCache::keep_blocks(const PromptCache& cache) {
  const std::span<const int32_t> tokens = cache.tokens();
  std::vector<Match> path = matches(tokens);
  // A node that goes on otherwise does not hold the rest.
  if (!path.empty() && path.back().n_tokens < static_cast<int64_t>(path.back().node->tokens.size())) {
    int64_t n_matched = 0;
    for (const Match& match : path) n_matched += match.n_tokens;
    if (n_matched == static_cast<int64_t>(tokens.size())) return touch(path);
    path.pop_back();
  }
  touch(path);
  int64_t begin = 0;
  Node* node = root_.get();
  for (const Match& match : path) {
    begin += static_cast<int64_t>(match.node->tokens.size());
    node = match.node;
  }
  if (node != root_.get() && !node->is_full()) {
    if (begin == static_cast<int64_t>(tokens.size())) return;
    // One that holds all of these and more takes its place.
    begin -= static_cast<int64_t>(node->tokens.size());
    Node* parent = node->parent;
    remove(*node);
    node = parent;
  }
  for (const auto n_all = static_cast<int64_t>(tokens.size()); begin < n_all; begin += kBlockTokens) {
    add(*node, cache, begin, std::min(kBlockTokens, n_all - begin));
    node = node->children.back();
  }
}

void PrefixCache::touch(std::span<const Match> path) {
  for (std::size_t idx = path.size(); idx-- > 0;)
    order_.splice(order_.begin(), order_, path[idx].node->place);
}

void PrefixCache::add(Node& parent, const PromptCache& cache, int64_t begin, int64_t n_tokens) {
  auto node = std::make_unique<Node>();
  const std::span<const int32_t> tokens =
      cache.tokens().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n_tokens));
  node->tokens.assign(tokens.begin(), tokens.end());
  node->data = copy_of(cache, begin, n_tokens);
  node->parent = &parent;
  // All that may throw is done before the tree knows of it.
  Order fresh;
  fresh.push_back(std::move(node));
  const auto place = fresh.begin();
  parent.children.push_back(place->get());
  (*place)->place = place;
  order_.splice(&parent == root_.get() ? order_.begin() : std::next(parent.place), fresh);
  stats_.n_bytes += (*place)->n_bytes();
  ++stats_.n_blocks;
}

void PrefixCache::remove(Node& node) {
  LILLE_CHECK(node.children.empty());
  std::erase(node.parent->children, &node);
  stats_.n_bytes -= node.n_bytes();
  --stats_.n_blocks;
  order_.erase(node.place);
}

void PrefixCache::shrink() {
  while (stats_.n_bytes > max_bytes_) {
    remove(*order_.back());
    ++stats_.n_evicted_blocks;
  }
}

}  // namespace lille
