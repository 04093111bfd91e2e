#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/matcher.h"
#include "lille/tokenizer.h"
#include "tokenizer/token_trie.h"

namespace lille {

/// Tokens that may come next, a bit for each id.
class TokenMask {
 public:
  explicit TokenMask(int64_t vocab_size) : words_((static_cast<std::size_t>(vocab_size) + 63) / 64) {}

  void allow(int32_t id) noexcept { words_[static_cast<std::size_t>(id) / 64] |= bit_of(id); }
  void exclude(int32_t id) noexcept { words_[static_cast<std::size_t>(id) / 64] &= ~bit_of(id); }
  bool allows(int32_t id) const noexcept {
    return (words_[static_cast<std::size_t>(id) / 64] & bit_of(id)) != 0;
  }
  /// Whether no token may come.
  bool is_empty() const noexcept;
  /// Sets the logits of all other tokens to -inf. @param logits  (vocab_size)
  void apply(std::span<float> logits) const noexcept;

 private:
  static uint64_t bit_of(int32_t id) noexcept { return uint64_t{1} << (static_cast<uint32_t>(id) % 64); }
  std::vector<uint64_t> words_;
};

/// Which tokens keep a text the beginning of a sentence. Masks are kept by state, so what comes again, the
/// inside of a text for example, costs nothing, and what differs only by how often something came is made
/// from the mask before it. One thread uses it at a time; a copy has tables of its own.
class TokenMasks {
 public:
  using State = Matcher::State;

  TokenMasks(std::shared_ptr<const CompiledGrammar> grammar, const Tokenizer& tokenizer);

  State start() const noexcept { return matcher_.start(); }

  /// The state after a token's bytes, or Matcher::kDead. @throws Error(kInvalidArgument) as Matcher::next.
  State after(State state, std::string_view bytes);

  /// The tokens that may follow: all whose bytes do, and the end of the text exactly after a sentence. Other
  /// special tokens never may. Valid until the next call.
  /// @throws Error(kInvalidArgument) as Matcher::next.
  const TokenMask& mask(State state);

  /// Whether what was read is a sentence.
  bool is_accepting(State state) const noexcept { return matcher_.is_accepting(state); }
  /// Gives Matcher::kMaxWork anew, so many times.
  void begin_work(int64_t n_times = 1) noexcept { matcher_.begin_work(n_times); }

  /// Whether the tables have grown so much that reset() is due.
  bool is_full() const noexcept;
  /// @throws Error(kInvalidArgument) if is_full().
  void check_room() const;
  /// Forgets all states but start().
  void reset();

 private:
  TokenMask make(State state);
  TokenMask change(TokenMask mask, State from, State to);
  void exclude_all(TokenMask& mask, std::size_t begin, std::size_t end) const;

  Matcher matcher_;
  std::shared_ptr<const TokenTrie> trie_;
  int64_t vocab_size_;
  int32_t eos_token_id_;
  std::unordered_map<State, TokenMask> masks_;
  std::unordered_map<State, State> last_of_kind_;  // that has a mask
  std::vector<State> path_;                        // states by depth
  std::vector<State> other_path_;
};

}  // namespace lille
