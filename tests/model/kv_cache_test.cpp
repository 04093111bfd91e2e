#include "model/kv_cache.h"

#include <random>

#include "base/dtype.h"
#include "model/access.h"
#include "model/cache_type.h"
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

// Heads of 64, two blocks each, in rows that are wider than they are used.
TEST_F(KVCacheTest, RoundsToBlocksAndKeepsEachHeadContiguous) {
  args_.n_embd = 256;
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> rows(3 * 200);
  for (float& value : rows) value = normal(random);
  KVCache cache(args_, CacheType::kQ8_0);
  ASSERT_EQ(cache.row_bytes(), 68);
  const ops::Rows all = {rows.data(), 3, 128, 200};
  cache.update_and_fetch(all.rows(0, 1), all.rows(0, 1));
  cache.update_and_fetch(all.rows(1, 2), all.rows(1, 2));
  std::vector<std::byte> expected(68);
  for (int64_t head_idx = 0; head_idx < 2; ++head_idx)
    for (int64_t pos = 0; pos < 3; ++pos) {
      store_cache_row(expected.data(), {all.row(pos) + head_idx * 64, 64}, CacheType::kQ8_0);
      for (const auto held : {cache.keys(head_idx), cache.values(head_idx)}) {
        ASSERT_EQ(held.size(), 3u * 68);
        EXPECT_TRUE(std::ranges::equal(held.subspan(static_cast<std::size_t>(pos * 68), 68), expected));
      }
    }
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

TEST_F(KVCacheTest, AssignTakesWhatKeysAndValuesGive) {
  for (const CacheType type : {CacheType::kF32, CacheType::kBF16}) {
    KVCache cache(args_, type);
    cache.update_and_fetch(keys(0, 5), values(0, 5));
    cache.trim(1);
    const std::size_t head_bytes = 4 * 2 * (type == CacheType::kF32 ? 4 : 2);
    std::vector<std::byte> all_keys;
    std::vector<std::byte> all_values;
    for (int64_t head_idx = 0; head_idx < 2; ++head_idx) {
      ASSERT_EQ(cache.keys(head_idx).size(), head_bytes);
      all_keys.insert(all_keys.end(), cache.keys(head_idx).begin(), cache.keys(head_idx).end());
      all_values.insert(all_values.end(), cache.values(head_idx).begin(), cache.values(head_idx).end());
    }
    KVCache other(args_, type);
    other.update_and_fetch(keys(2, 7), values(2, 7));
    other.assign(4, all_keys, all_values);
    EXPECT_EQ(other.offset(), 4);
    for (int64_t head_idx = 0; head_idx < 2; ++head_idx) {
      EXPECT_TRUE(std::ranges::equal(other.keys(head_idx), cache.keys(head_idx)));
      EXPECT_TRUE(std::ranges::equal(other.values(head_idx), cache.values(head_idx)));
      EXPECT_FALSE(std::ranges::equal(other.keys(head_idx), other.values(head_idx)));
    }
  }
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
  EXPECT_EQ(cache.type(), CacheType::kF32);
  for (const CacheType type : kCacheTypes) {
    EXPECT_EQ(make_prompt_cache(model, type).type(), type);
    EXPECT_EQ(make_prompt_cache(Session(model, {.n_threads = 1, .cache_type = type})).type(), type);
  }
}

TEST(PromptCache, KnowsItsTokensAndWhoFilledIt) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session(model, {1, ""});
  PromptCache cache = make_prompt_cache(model);
  EXPECT_TRUE(cache.tokens().empty());
  EXPECT_EQ(cache.kernels(), "");
  const std::vector<int32_t> ids = {7, 8, 9, 10};
  for (const BatchItem& item : {BatchItem{std::span(ids).first(3), &cache}, BatchItem{{&ids[3], 1}, &cache}})
    session.forward(std::span(&item, 1));
  EXPECT_TRUE(std::ranges::equal(cache.tokens(), ids));
  EXPECT_EQ(cache.kernels(), session.kernels());
  EXPECT_EQ(cache.trim(2), 2);
  EXPECT_TRUE(std::ranges::equal(cache.tokens(), std::vector<int32_t>{7, 8}));
  EXPECT_EQ(cache.trim(9), 2);
  EXPECT_TRUE(cache.tokens().empty());
  EXPECT_EQ(cache.kernels(), "") << "any session may fill it again";
}

}  // namespace
}  // namespace lille
