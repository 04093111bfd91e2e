#include "tokenizer/token_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tokenizer/hastings.h"

namespace lille {
namespace {

TEST(TokenTrie, AWalkMeetsEveryTokenOnceInOrder) {
  const Tokenizer& tokenizer = test::hastings();
  const std::shared_ptr<const TokenTrie> trie = TokenTrie::of(tokenizer);
  std::string path;
  std::string last;
  std::vector<bool> is_met(static_cast<std::size_t>(tokenizer.vocab_size()));
  for (const TokenTrie::Node& node : trie->nodes()) {
    ASSERT_GE(node.depth, 1);
    ASSERT_LE(node.depth, path.size() + 1);
    path.resize(node.depth - 1);
    path += static_cast<char>(node.byte);
    ASSERT_LE(path.size(), trie->max_depth());
    if (node.token_id == TokenTrie::kNone) continue;
    EXPECT_EQ(path, tokenizer.token_bytes(node.token_id));
    EXPECT_LT(last, path);
    last = path;
    is_met[static_cast<std::size_t>(node.token_id)] = true;
  }
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    EXPECT_NE(is_met[static_cast<std::size_t>(id)], tokenizer.is_special(id)) << id;
}

TEST(TokenTrie, ASkipLeavesOutWhatBeginsAlike) {
  const std::shared_ptr<const TokenTrie> trie = TokenTrie::of(test::hastings());
  const std::span<const TokenTrie::Node> nodes = trie->nodes();
  for (std::size_t idx = 0; idx < nodes.size(); ++idx) {
    std::size_t after = idx + 1;
    while (after < nodes.size() && nodes[after].depth > nodes[idx].depth) ++after;
    ASSERT_EQ(nodes[idx].after, after) << idx;
    const auto longest = std::ranges::max(nodes.subspan(idx, after - idx), {}, &TokenTrie::Node::depth);
    ASSERT_EQ(nodes[idx].n_more, longest.depth - nodes[idx].depth) << idx;
  }
}

TEST(TokenTrie, CopiesOfATokenizerShareIt) {
  const Tokenizer copy = test::hastings();
  EXPECT_EQ(TokenTrie::of(copy).get(), TokenTrie::of(test::hastings()).get());
}

}  // namespace
}  // namespace lille
