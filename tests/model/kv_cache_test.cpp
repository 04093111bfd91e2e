#include "model/kv_cache.h"

#include <random>

#include "base/dtype.h"
#include "model/access.h"
#include "model/golden.h"

namespace lille {
namespace {

class KVCacheTest : public testing::Test {
 protected:
  KVCacheTest() {
    args_.block_size = 10;
    args_.n_embd = 8;
    args_.n_head = 4;
    args_.n_kv_heads = 2;
    args_.n_layer = 1;
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : keys_) value = normal(random);
    for (float& value : values_) value = normal(random);
  }

  // Rows of 2 heads of 2, in rows that are wider than they are used, as in the fused qkv.
  ops::Rows keys(int64_t first, int64_t n) { return {keys_ + first * 6, n, 4, 6}; }
  ops::Rows values(int64_t first, int64_t n) { return {values_ + first * 6, n, 4, 6}; }

  ModelArgs args_;
  float keys_[60];
  float values_[60];
};

TEST_F(KVCacheTest, KeepsEachHeadContiguousWhateverTheChunks) {
  KVCache cache(args_, CacheType::kF32);
  EXPECT_EQ(cache.offset(), 0);
  cache.update_and_fetch(keys(0, 3), values(0, 3));
  cache.update_and_fetch(keys(3, 1), values(3, 1));
  const KVCache::View view = cache.update_and_fetch(keys(4, 6), values(4, 6));
  EXPECT_EQ(cache.offset(), 10);
  for (int64_t head_idx = 0; head_idx < 2; ++head_idx)
    for (int64_t pos = 0; pos < 10; ++pos)
      for (int64_t column = 0; column < 2; ++column) {
        const auto at = (head_idx * 10 + pos) * 2 + column;
        EXPECT_EQ(static_cast<const float*>(view.keys)[at], keys_[pos * 6 + head_idx * 2 + column]);
        EXPECT_EQ(static_cast<const float*>(view.values)[at], values_[pos * 6 + head_idx * 2 + column]);
      }
}

TEST_F(KVCacheTest, RoundsToBf16BeforeTheFirstUse) {
  KVCache cache(args_, CacheType::kBF16);
  const KVCache::View view = cache.update_and_fetch(keys(0, 1), values(0, 1));
  for (int64_t head_idx = 0; head_idx < 2; ++head_idx)
    for (int64_t column = 0; column < 2; ++column)
      EXPECT_EQ(static_cast<const uint16_t*>(view.keys)[head_idx * 20 + column],
                f32_to_bf16(keys_[head_idx * 2 + column]));
}

TEST_F(KVCacheTest, TrimForgetsFromTheEndAndNeverMoreThanThereIs) {
  KVCache cache(args_, CacheType::kF32);
  cache.update_and_fetch(keys(0, 5), values(0, 5));
  EXPECT_EQ(cache.trim(2), 2);
  EXPECT_EQ(cache.offset(), 3);
  EXPECT_EQ(cache.trim(-1), 0);
  EXPECT_EQ(cache.trim(100), 3);
  EXPECT_EQ(cache.offset(), 0);
}

TEST_F(KVCacheTest, RefusesMoreThanItHolds) {
  KVCache cache(args_, CacheType::kF32);
  cache.update_and_fetch(keys(0, 9), values(0, 9));
  test::expect_error(ErrorCode::kInternal, "invariant",
                     [&] { cache.update_and_fetch(keys(0, 2), values(0, 2)); });
}

TEST(PromptCache, HasOneLayerForEachOfTheModel) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  PromptCache cache = make_prompt_cache(model);
  EXPECT_EQ(Access::layers(cache).size(), 3u);
  EXPECT_EQ(cache.capacity(), 64);
  EXPECT_EQ(cache.offset(), 0);
  EXPECT_EQ(cache.trim(1), 0);
}

}  // namespace
}  // namespace lille
