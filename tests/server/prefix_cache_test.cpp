#include "server/prefix_cache.h"

#include <cstdlib>
#include <new>
#include <numeric>

#include "model/access.h"
#include "model/kv_cache.h"
#include "server/tiny.h"

namespace {

// How often this thread may still allocate; negative: as often as it wants.
thread_local int64_t n_allocations_left = -1;

}  // namespace

void* operator new(std::size_t n_bytes) {
  if (n_allocations_left == 0) throw std::bad_alloc();
  if (n_allocations_left > 0) --n_allocations_left;
  if (void* bytes = std::malloc(n_bytes == 0 ? 1 : n_bytes)) return bytes;
  throw std::bad_alloc();
}
// A sanitizer has one of its own, which these deletes would not match.
void* operator new(std::size_t n_bytes, const std::nothrow_t&) noexcept {
  return std::malloc(n_bytes == 0 ? 1 : n_bytes);
}
void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }
void operator delete(void* bytes, const std::nothrow_t&) noexcept { std::free(bytes); }

namespace lille {
namespace {

class PrefixCacheTest : public test::TinyModel {
 protected:
  // A cache that has read these tokens.
  PromptCache read(std::span<const int32_t> tokens) {
    PromptCache cache(model_, type_);
    const BatchItem item = {tokens, &cache, LogitsFor::kNone};
    session_.forward({&item, 1});
    return cache;
  }

  static std::vector<int32_t> numbers(int32_t first, std::size_t n) {
    std::vector<int32_t> tokens(n);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }

  static std::vector<int32_t> joined(std::vector<int32_t> one, const std::vector<int32_t>& other) {
    one.insert(one.end(), other.begin(), other.end());
    return one;
  }

  // Expects a prompt to find `n_tokens` tokens, with the bits that reading them gives.
  void expect_reuse(PrefixCache& prefix, const std::vector<int32_t>& prompt, int64_t n_tokens) {
    PromptCache cache(model_, type_);
    EXPECT_EQ(prefix.n_reusable(prompt), n_tokens);
    ASSERT_EQ(prefix.restore(cache, prompt, model_.args().block_size), n_tokens);
    ASSERT_EQ(cache.offset(), n_tokens);
    if (n_tokens == 0) return;
    const PromptCache wanted = read(std::span(prompt).first(static_cast<std::size_t>(n_tokens)));
    EXPECT_TRUE(std::ranges::equal(cache.tokens(), wanted.tokens()));
    const std::span<const KVCache> layers = Access::layers(std::as_const(cache));
    for (std::size_t layer_idx = 0; layer_idx < layers.size(); ++layer_idx)
      for (int64_t head_idx = 0; head_idx < layers[layer_idx].n_kv_heads(); ++head_idx) {
        const KVCache& other = Access::layers(wanted)[layer_idx];
        EXPECT_TRUE(std::ranges::equal(layers[layer_idx].keys(head_idx), other.keys(head_idx)));
        EXPECT_TRUE(std::ranges::equal(layers[layer_idx].values(head_idx), other.values(head_idx)));
      }
  }

  CacheType type_ = CacheType::kF32;
};

TEST_F(PrefixCacheTest, EveryTypeOfCacheIsKept) {
  for (const CacheType type : kCacheTypes) {
    type_ = type;
    PrefixCache prefix(1 << 30);
    const std::vector<int32_t> prompt = numbers(100, 40);
    prefix.keep(read(prompt));
    expect_reuse(prefix, joined(prompt, numbers(500, 9)), 40);
  }
}

TEST_F(PrefixCacheTest, ARepeatedPromptIsReadOnlyFromItsLastToken) {
  for (const std::size_t n_tokens : {2, 15, 16, 17, 31, 32, 33, 100}) {
    PrefixCache prefix(1 << 30);
    const std::vector<int32_t> prompt = numbers(100, n_tokens);
    expect_reuse(prefix, prompt, 0);
    prefix.keep(read(prompt));
    expect_reuse(prefix, prompt, static_cast<int64_t>(n_tokens) - 1);
  }
}

TEST_F(PrefixCacheTest, EveryTokenThatIsSharedIsReused) {
  PrefixCache prefix(1 << 30);
  const std::vector<int32_t> begin = numbers(100, 40);
  prefix.keep(read(begin));
  expect_reuse(prefix, joined(begin, numbers(500, 9)), 40);
  prefix.keep(read(joined(begin, numbers(500, 9))));
  prefix.keep(read(joined(begin, numbers(600, 30))));
  expect_reuse(prefix, joined(begin, numbers(500, 20)), 49);
  expect_reuse(prefix, joined(begin, numbers(600, 20)), 59);
  expect_reuse(prefix, joined(joined(begin, numbers(600, 5)), numbers(500, 7)), 45);
  expect_reuse(prefix, joined(numbers(100, 20), numbers(700, 3)), 20);
  expect_reuse(prefix, numbers(700, 20), 0);
}

TEST_F(PrefixCacheTest, WhatIsKeptIsNotCopiedAgain) {
  PrefixCache prefix(1 << 30);
  const std::vector<int32_t> prompt = numbers(100, 40);
  prefix.keep(read(prompt));
  const PrefixCache::Stats before = prefix.stats();
  EXPECT_EQ(before.n_blocks, 3);
  prefix.keep(read(prompt));
  prefix.keep(read(std::span(prompt).first(35)));
  prefix.keep(read(std::span(prompt).first(16)));
  EXPECT_EQ(prefix.stats().n_blocks, 3);
  EXPECT_EQ(prefix.stats().n_bytes, before.n_bytes);
  // The node that was not full is replaced by one that holds more.
  prefix.keep(read(numbers(100, 44)));
  EXPECT_EQ(prefix.stats().n_blocks, 3);
  EXPECT_GT(prefix.stats().n_bytes, before.n_bytes);
}

TEST_F(PrefixCacheTest, TheLeastRecentlyUsedLeavesAndTheBoundHolds) {
  PrefixCache measure(1 << 30);
  measure.keep(read(numbers(100, 16)));
  const int64_t block_bytes = measure.stats().n_bytes;

  PrefixCache prefix(6 * block_bytes);
  prefix.keep(read(numbers(100, 32)));
  prefix.keep(read(numbers(1000, 32)));
  EXPECT_EQ(prefix.stats().n_evicted_blocks, 0);
  expect_reuse(prefix, numbers(100, 33), 32);
  // A block more than there is room for: the end of the second prompt leaves.
  prefix.keep(read(numbers(2000, 48)));
  EXPECT_EQ(prefix.stats().n_evicted_blocks, 1);
  EXPECT_LE(prefix.stats().n_bytes, 6 * block_bytes);
  expect_reuse(prefix, numbers(100, 33), 32);
  expect_reuse(prefix, numbers(2000, 49), 48);
  expect_reuse(prefix, numbers(1000, 33), 16);
}

TEST_F(PrefixCacheTest, APromptLargerThanTheBoundKeepsItsBeginning) {
  PrefixCache measure(1 << 30);
  measure.keep(read(numbers(100, 16)));
  PrefixCache prefix(2 * measure.stats().n_bytes);
  prefix.keep(read(numbers(100, 100)));
  expect_reuse(prefix, numbers(100, 100), 32);
  PrefixCache none(0);
  none.keep(read(numbers(100, 100)));
  expect_reuse(none, numbers(100, 100), 0);
}

TEST_F(PrefixCacheTest, WhereMemoryEndsTheRestStaysUsable) {
  const PromptCache first = read(numbers(100, 40));
  const PromptCache longer = read(joined(numbers(100, 32), numbers(500, 40)));
  bool is_kept = false;
  for (int64_t n_allocations = 0; !is_kept; ++n_allocations) {
    ASSERT_LT(n_allocations, 1000);
    PrefixCache prefix(1 << 30);
    prefix.keep(first);
    n_allocations_left = n_allocations;
    prefix.keep(longer);
    n_allocations_left = -1;
    is_kept = prefix.stats().n_blocks == 6;
    expect_reuse(prefix, numbers(100, 41), 40);
    prefix.keep(longer);
    expect_reuse(prefix, joined(numbers(100, 32), numbers(500, 41)), 72);
    EXPECT_EQ(prefix.stats().n_blocks, 6);
  }
}

TEST_F(PrefixCacheTest, WhereMemoryEndsTheBoundHolds) {
  const PromptCache first = read(numbers(100, 64));
  const PromptCache other = read(numbers(500, 64));
  PrefixCache unbounded(1 << 30);
  unbounded.keep(first);
  const int64_t n_bytes = unbounded.stats().n_bytes;
  for (int64_t n_allocations = 0; n_allocations < 100; ++n_allocations) {
    PrefixCache prefix(n_bytes);
    prefix.keep(first);
    n_allocations_left = n_allocations;
    prefix.keep(other);
    n_allocations_left = -1;
    EXPECT_LE(prefix.stats().n_bytes, n_bytes) << n_allocations;
  }
}

TEST_F(PrefixCacheTest, HitsAreCounted) {
  PrefixCache prefix(1 << 30);
  const std::vector<int32_t> prompt = numbers(100, 40);
  expect_reuse(prefix, prompt, 0);
  prefix.keep(read(prompt));
  expect_reuse(prefix, prompt, 39);
  EXPECT_EQ(prefix.stats().n_lookups, 2);
  EXPECT_EQ(prefix.stats().n_hits, 1);
  EXPECT_EQ(prefix.stats().n_prompt_tokens, 80);
  EXPECT_EQ(prefix.stats().n_reused_tokens, 39);
}

TEST_F(PrefixCacheTest, ANegativeBoundIsRefused) {
  test::expect_error(ErrorCode::kInvalidArgument, "max_bytes: expected 0 or more, got -1",
                     [] { PrefixCache(-1); });
}

}  // namespace
}  // namespace lille
