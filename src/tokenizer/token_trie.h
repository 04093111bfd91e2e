#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lille {

class Tokenizer;
class Vocabulary;

/// The bytes of all tokens but the special ones as a trie, its nodes in the order in which a walk meets them:
/// a node, then all that begin with it. Immutable and shared by threads.
class TokenTrie {
 public:
  /// A text that tokens begin with, said by its last byte.
  struct Node {
    uint8_t byte;
    uint16_t depth;    ///< Bytes of the text, at least 1.
    uint32_t after;    ///< The first node that does not begin with this text.
    int32_t token_id;  ///< The token that is this text, or kNone.
    uint16_t n_more;   ///< Bytes of the longest token that begins with it, behind it.
  };
  static constexpr int32_t kNone = -1;

  explicit TokenTrie(const Vocabulary& vocabulary);
  /// That of a tokenizer, made when it is first asked for and shared by all its copies.
  static std::shared_ptr<const TokenTrie> of(const Tokenizer& tokenizer);

  std::span<const Node> nodes() const noexcept { return nodes_; }
  /// Bytes of the longest token.
  std::size_t max_depth() const noexcept { return max_depth_; }

 private:
  std::vector<Node> nodes_;
  std::size_t max_depth_ = 0;
};

}  // namespace lille
