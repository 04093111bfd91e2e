#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lille/model.h"

namespace lille {

/// What was read of prompts and answers, kept for prompts that begin alike: a tree whose nodes each hold the
/// keys and values of up to kBlockTokens tokens. A prompt may leave it in the middle of a node, so that every
/// token it shares with an earlier one is reused. Nodes that were not used for longest leave first. An answer
/// has the same bits whether its prompt's beginning came from here or was read. One thread uses it at a time.
class PrefixCache {
 public:
  static constexpr int64_t kBlockTokens = 16;

  /// What it did so far, and what it holds.
  struct Stats {
    int64_t n_lookups = 0;         ///< Prompts that were looked up.
    int64_t n_hits = 0;            ///< Of these, how many had a beginning here.
    int64_t n_prompt_tokens = 0;   ///< Tokens of all these prompts.
    int64_t n_reused_tokens = 0;   ///< Of these: not read again.
    int64_t n_blocks = 0;          ///< Nodes that are held.
    int64_t n_bytes = 0;           ///< Bytes of these.
    int64_t n_evicted_blocks = 0;  ///< Nodes that had to leave.
  };

  /// @param max_bytes  of all nodes together; 0: nothing is kept.
  explicit PrefixCache(int64_t max_bytes);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// Tokens at the beginning of a prompt that restore() would fill in: at most all but the last.
  int64_t n_reusable(std::span<const int32_t> prompt) const;

  /// Fills an empty cache with what is kept of the beginning of a prompt; counts the lookup.
  /// @param max_tokens  fills in no more than these.
  /// @return the tokens it filled in.
  int64_t restore(PromptCache& cache, std::span<const int32_t> prompt, int64_t max_tokens);

  /// Keeps what a cache holds; what is kept already is not copied again. Caches are to be of one model, one
  /// type and one kernel table: those of another table than the last one's empty it first. What there is no
  /// memory for is not kept.
  void keep(const PromptCache& cache);

  const Stats& stats() const noexcept { return stats_; }

 private:
  struct Node;
  using Order = std::list<std::unique_ptr<Node>>;
  struct Match {
    Node* node;
    int64_t n_tokens;  // of the node's, from its first
  };

  std::vector<Match> matches(std::span<const int32_t> tokens) const;
  void keep_blocks(const PromptCache& cache);
  void touch(std::span<const Match> path);
  void add(Node& parent, const PromptCache& cache, int64_t begin, int64_t n_tokens);
  void remove(Node& node);
  void shrink();

  int64_t max_bytes_;
  std::string kernels_;
  std::unique_ptr<Node> root_;
  Order order_;  // used last first; a node stands before those below it
  Stats stats_;
};

}  // namespace lille
