#include "grammar/token_mask.h"

#include <algorithm>
#include <limits>

namespace lille {
namespace {

constexpr std::size_t kMaxTableBytes = std::size_t{8} << 20;
constexpr std::size_t kMaxMasks = 512;

}  // namespace

bool TokenMask::is_empty() const noexcept {
  return std::ranges::all_of(words_, [](uint64_t word) { return word == 0; });
}

void TokenMask::apply(std::span<float> logits) const noexcept {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (std::size_t word_idx = 0; word_idx < words_.size(); ++word_idx) {
    const uint64_t word = words_[word_idx];
    const std::size_t begin = word_idx * 64;
    const std::size_t n_ids = std::min<std::size_t>(64, logits.size() - begin);
    if (word == 0) {
      std::ranges::fill(logits.subspan(begin, n_ids), kNever);
    } else if (word != ~uint64_t{0}) {
      for (std::size_t idx = 0; idx < n_ids; ++idx)
        if ((word >> idx & 1) == 0) logits[begin + idx] = kNever;
    }
  }
}

TokenMasks::TokenMasks(std::shared_ptr<const CompiledGrammar> grammar, const Tokenizer& tokenizer)
    : matcher_(std::move(grammar)),
      trie_(TokenTrie::of(tokenizer)),
      vocab_size_(tokenizer.vocab_size()),
      eos_token_id_(tokenizer.eos_token_id()),
      path_(trie_->max_depth() + 1),
      other_path_(path_.size()) {}

TokenMasks::State TokenMasks::after(State state, std::string_view bytes) {
  for (const char byte : bytes) {
    if (state == Matcher::kDead) return state;
    state = matcher_.next(state, static_cast<uint8_t>(byte));
  }
  return state;
}

const TokenMask& TokenMasks::mask(State state) {
  const auto known = masks_.find(state);
  if (known != masks_.end()) return known->second;
  const auto like = last_of_kind_.find(matcher_.kind(state));
  TokenMask mask =
      like == last_of_kind_.end() ? make(state) : change(masks_.at(like->second), like->second, state);
  if (masks_.size() == kMaxMasks) {
    masks_.clear();
    last_of_kind_.clear();
  }
  last_of_kind_[matcher_.kind(state)] = state;
  return masks_.emplace(state, std::move(mask)).first->second;
}

// The mask of a state from that of another one of its kind: only where a token may be longer than they are
// alike is there anything to look for.
TokenMask TokenMasks::change(TokenMask mask, State from, State to) {
  const auto are_alike = [this](State left, State right, std::size_t n_bytes) {
    return left != Matcher::kDead && right != Matcher::kDead && matcher_.kind(left) == matcher_.kind(right) &&
           std::min(matcher_.n_alike(left), matcher_.n_alike(right)) >= n_bytes;
  };
  if (are_alike(from, to, trie_->max_depth())) return mask;
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  other_path_[0] = from;
  path_[0] = to;
  for (std::size_t idx = 0; idx < nodes.size();) {
    const TokenTrie::Node& node = nodes[idx];
    const std::size_t before = node.depth - std::size_t{1};
    const State next = matcher_.next(path_[before], node.byte);
    const State other = other_path_[before] == Matcher::kDead ? Matcher::kDead
                                                              : matcher_.next(other_path_[before], node.byte);
    if (next == Matcher::kDead && other != Matcher::kDead) exclude_all(mask, idx, node.after);
    if (next == Matcher::kDead || next == other || are_alike(next, other, node.n_more)) {
      idx = node.after;
      continue;
    }
    path_[node.depth] = next;
    other_path_[node.depth] = other;
    if (node.token_id != TokenTrie::kNone) mask.allow(node.token_id);
    ++idx;
  }
  return mask;
}

void TokenMasks::exclude_all(TokenMask& mask, std::size_t begin, std::size_t end) const {
  for (const TokenTrie::Node& node : trie_->nodes().subspan(begin, end - begin))
    if (node.token_id != TokenTrie::kNone) mask.exclude(node.token_id);
}

TokenMask TokenMasks::make(State state) {
  TokenMask mask(vocab_size_);
  if (matcher_.is_accepting(state)) mask.allow(eos_token_id_);
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  path_[0] = state;
  for (std::size_t idx = 0; idx < nodes.size();) {
    const TokenTrie::Node& node = nodes[idx];
    const State next = matcher_.next(path_[node.depth - std::size_t{1}], node.byte);
    if (next == Matcher::kDead) {
      idx = node.after;
      continue;
    }
    path_[node.depth] = next;
    if (node.token_id != TokenTrie::kNone) mask.allow(node.token_id);
    ++idx;
  }
  return mask;
}

bool TokenMasks::is_full() const noexcept { return matcher_.n_table_bytes() > kMaxTableBytes; }

void TokenMasks::check_room() const { matcher_.check_table_bytes(kMaxTableBytes); }

void TokenMasks::reset() {
  masks_.clear();
  last_of_kind_.clear();
  matcher_.reset();
}

}  // namespace lille
