#include "base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "support.h"

namespace lille {
namespace {

TEST(AlignedBuffer, StandsOnACacheLine) {
  for (const std::size_t n_elements : {1u, 3u, 63u, 64u, 65u, 1000u}) {
    AlignedBuffer<uint16_t> buffer(n_elements);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_EQ(buffer.size(), n_elements);
    EXPECT_EQ(buffer.span().size(), n_elements);
    buffer.span().back() = 7;
    EXPECT_EQ(std::as_const(buffer).span().back(), 7);
  }
}

TEST(AlignedBuffer, OfNothingIsEmpty) {
  EXPECT_EQ(AlignedBuffer<float>().size(), 0u);
  EXPECT_EQ(AlignedBuffer<float>(0).data(), nullptr);
}

TEST(AlignedBuffer, MovesItsMemory) {
  AlignedBuffer<float> first(10);
  const float* address = first.data();
  AlignedBuffer<float> second(std::move(first));
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(second.size(), 10u);
  EXPECT_EQ(first.size(), 0u);
  EXPECT_TRUE(first.span().empty());
}

TEST(AlignedBuffer, SaysWhenMemoryCannotBeHad) {
  constexpr std::size_t kMax = std::numeric_limits<std::size_t>::max();
  test::expect_error(ErrorCode::kOutOfMemory, "do not fit", [] { AlignedBuffer<float> buffer(kMax); });
  test::expect_error(ErrorCode::kOutOfMemory, "do not fit", [] { AlignedBuffer<float> buffer(kMax / 4); });
  test::expect_error(ErrorCode::kOutOfMemory, "could not get",
                     [] { AlignedBuffer<float> buffer(kMax / 16); });
}

}  // namespace
}  // namespace lille
