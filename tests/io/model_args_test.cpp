#include "lille/model_args.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lille {
namespace {

ModelArgs with_n_embd(int64_t n_embd) {
  ModelArgs args;
  args.n_embd = n_embd;
  return args;
}

TEST(ModelArgs, SizesOfLille130M) {
  ModelArgs args = with_n_embd(640);
  args.n_head = 10;
  args.n_kv_heads = 2;
  EXPECT_EQ(args.head_dim(), 64);
  EXPECT_EQ(args.n_rep(), 5);
  EXPECT_EQ(args.q_size(), 640);
  EXPECT_EQ(args.kv_size(), 128);
  EXPECT_EQ(args.hidden_dim(), 1792);
}

// Values that Python gives for 256 * round(int(8 * n_embd / 3) / 256).
TEST(ModelArgs, HiddenDimRoundsHalvesToEven) {
  EXPECT_EQ(with_n_embd(48).hidden_dim(), 0);      // 0.5
  EXPECT_EQ(with_n_embd(49).hidden_dim(), 256);    // 130 / 256
  EXPECT_EQ(with_n_embd(144).hidden_dim(), 512);   // 1.5
  EXPECT_EQ(with_n_embd(240).hidden_dim(), 512);   // 2.5
  EXPECT_EQ(with_n_embd(336).hidden_dim(), 1024);  // 3.5
  EXPECT_EQ(with_n_embd(64).hidden_dim(), 256);
  EXPECT_EQ(with_n_embd(128).hidden_dim(), 256);
  EXPECT_EQ(with_n_embd(256).hidden_dim(), 768);
}

TEST(ModelArgs, HiddenDimEqualsTheFloatingPointFormula) {
  for (int64_t n_embd = 1; n_embd <= (1 << 16); ++n_embd) {
    // Python divides in double and truncates; nearbyint rounds halves to even as its round does.
    const double two_thirds = std::trunc(static_cast<double>(8 * n_embd) / 3.0);
    const auto expected = static_cast<int64_t>(256.0 * std::nearbyint(two_thirds / 256.0));
    ASSERT_EQ(with_n_embd(n_embd).hidden_dim(), expected) << n_embd;
  }
}

TEST(RopeLayout, NamesAndBack) {
  struct Row {
    RopeLayout layout;
    const char* name;
  };
  for (const Row& row : {Row{RopeLayout::kInterleaved, "interleaved"}, Row{RopeLayout::kHalf, "half"},
                         Row{RopeLayout::kOriginal, "original"}}) {
    EXPECT_EQ(rope_layout_name(row.layout), row.name);
    EXPECT_EQ(rope_layout_from_name(row.name), row.layout);
  }
  for (const char* name : {"", "Half", "neox", "half "}) EXPECT_EQ(rope_layout_from_name(name), std::nullopt);
}

}  // namespace
}  // namespace lille
