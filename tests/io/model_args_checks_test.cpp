#include "io/model_args_checks.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

ModelArgs lille_130m() {
  ModelArgs args;
  args.block_size = 512;
  args.n_embd = 640;
  args.n_head = 10;
  args.n_kv_heads = 2;
  args.n_layer = 24;
  args.vocab_size = 32768;
  return args;
}

TEST(ModelArgsChecks, NameTheSizeThatIsWrong) {
  EXPECT_FALSE(find_size_fault(lille_130m()));
  ModelArgs args = lille_130m();
  args.n_head = 9;
  EXPECT_EQ(find_size_fault(args)->member, &ModelArgs::n_head);
  EXPECT_EQ(find_size_fault(args)->expected, "a divisor of n_embd, 640");
  args = lille_130m();
  args.n_kv_heads = 3;
  EXPECT_EQ(find_size_fault(args)->member, &ModelArgs::n_kv_heads);
  args = lille_130m();
  args.n_head = 128;
  args.n_kv_heads = 1;
  EXPECT_EQ(find_size_fault(args)->found, "n_embd / n_head = 640 / 128 = 5");
  args.n_embd = 1 << 14;
  args.n_head = 2;
  EXPECT_EQ(find_size_fault(args)->expected, "a width of a head of at most 4096");
  args.n_embd = 48;
  EXPECT_EQ(find_size_fault(args)->member, &ModelArgs::n_embd);
}

TEST(ModelArgsChecks, EverySizeHasOneKeyInEachForm) {
  for (const SizeKey& key : kSizeKeys) {
    EXPECT_TRUE(std::string_view(key.gguf_name).starts_with("llama.")) << key.name;
    EXPECT_GT(key.max, 0) << key.name;
  }
}

}  // namespace
}  // namespace lille
