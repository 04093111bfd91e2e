#include "tokenizer/token_trie.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "tokenizer/vocabulary.h"

namespace lille {

TokenTrie::TokenTrie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> tokens;
  for (int32_t id = 0; id < vocabulary.n_tokens(); ++id)
    if (!vocabulary.is_special(id)) tokens.emplace_back(vocabulary.bytes(id), id);
  std::ranges::sort(tokens);

  std::vector<std::size_t> path;  // nodes of the text before, by depth
  const auto close_to = [&](std::size_t depth) {
    for (; path.size() > depth; path.pop_back())
      nodes_[path.back()].after = static_cast<uint32_t>(nodes_.size());
  };
  std::string_view before;
  for (const auto& [bytes, id] : tokens) {
    const auto [end, unused] = std::ranges::mismatch(bytes, before);
    close_to(static_cast<std::size_t>(end - bytes.begin()));
    for (std::size_t depth = path.size(); depth < bytes.size(); ++depth) {
      path.push_back(nodes_.size());
      nodes_.push_back({static_cast<uint8_t>(bytes[depth]), static_cast<uint16_t>(depth + 1), 0, kNone, 0});
    }
    nodes_.back().token_id = id;
    max_depth_ = std::max(max_depth_, bytes.size());
    before = bytes;
  }
  close_to(0);
  std::vector<std::size_t> longest(max_depth_ + 2);  // of what begins with the next node of a depth
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    const std::size_t depth = node->depth;
    const std::size_t n_bytes = std::max(depth, std::exchange(longest[depth + 1], 0));
    node->n_more = static_cast<uint16_t>(n_bytes - depth);
    longest[depth] = std::max(longest[depth], n_bytes);
  }
}

}  // namespace lille
