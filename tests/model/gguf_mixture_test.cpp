#include "model/gguf_mixture.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace lille {
namespace {

constexpr MatrixRole kRoles[] = {MatrixRole::kEmbedding, MatrixRole::kQueries, MatrixRole::kKeys,
                                 MatrixRole::kValues,    MatrixRole::kOutput,  MatrixRole::kGate,
                                 MatrixRole::kUp,        MatrixRole::kDown};

TEST(GgufMixture, FloatsAreOneTypeForAll) {
  for (const MatrixRole role : kRoles) {
    EXPECT_EQ(gguf_mixture("F32", role, 0, 24, 100), DType::kF32);
    EXPECT_EQ(gguf_mixture("F16", role, 0, 24, 100), DType::kF16);
    EXPECT_EQ(gguf_mixture("BF16", role, 0, 24, 100), DType::kBF16);
  }
}

// Lille-130M: rows of 640 everywhere but in down_proj, 1792 = 7 * 256.
TEST(GgufMixture, TheEmbeddingOfLille130MIsQ8) {
  for (const char* name : {"Q8_0", "Q4_0", "Q5_0", "Q4_K_M", "Q6_K"})
    EXPECT_EQ(gguf_mixture(name, MatrixRole::kEmbedding, 0, 24, 640), DType::kQ8_0) << name;
  EXPECT_EQ(gguf_mixture("Q4_0", MatrixRole::kEmbedding, 0, 24, 512), DType::kQ6_K);
  EXPECT_EQ(gguf_mixture("Q4_K_M", MatrixRole::kEmbedding, 0, 24, 256), DType::kQ6_K);
  EXPECT_EQ(gguf_mixture("Q8_0", MatrixRole::kEmbedding, 0, 24, 512), DType::kQ8_0);
}

TEST(GgufMixture, PureIsOneTypeWhereItFits) {
  for (const MatrixRole role : kRoles)
    for (int64_t layer_idx = 0; layer_idx < 24; ++layer_idx) {
      EXPECT_EQ(gguf_mixture("Q4_0", role, layer_idx, 24, 640, true), DType::kQ4_0);
      EXPECT_EQ(gguf_mixture("Q4_K_M", role, layer_idx, 24, 1792, true), DType::kQ4_K);
      EXPECT_EQ(gguf_mixture("Q4_K_M", role, layer_idx, 24, 640, true), DType::kQ5_0);
    }
}

TEST(GgufMixture, Q4KMOfLille130M) {
  // Layers with more bits: the first three, the last three, and of the rest each third.
  const std::string more = "111001001001001001001111";
  for (int64_t layer_idx = 0; layer_idx < 24; ++layer_idx) {
    const bool has_more = more[static_cast<std::size_t>(layer_idx)] == '1';
    EXPECT_EQ(gguf_mixture("Q4_K_M", MatrixRole::kDown, layer_idx, 24, 1792),
              has_more ? DType::kQ6_K : DType::kQ4_K)
        << layer_idx;
    EXPECT_EQ(gguf_mixture("Q4_K_M", MatrixRole::kValues, layer_idx, 24, 640),
              has_more ? DType::kQ8_0 : DType::kQ5_0)
        << layer_idx;
    for (const MatrixRole role :
         {MatrixRole::kQueries, MatrixRole::kKeys, MatrixRole::kOutput, MatrixRole::kGate, MatrixRole::kUp})
      EXPECT_EQ(gguf_mixture("Q4_K_M", role, layer_idx, 24, 640), DType::kQ5_0) << layer_idx;
  }
}

TEST(GgufMixture, Q6KFallsBackToQ8) {
  EXPECT_EQ(gguf_mixture("Q6_K", MatrixRole::kDown, 5, 24, 1792), DType::kQ6_K);
  EXPECT_EQ(gguf_mixture("Q6_K", MatrixRole::kUp, 5, 24, 640), DType::kQ8_0);
}

TEST(GgufMixture, RowsThatNoBlockFitsAreRefusedWithTheReason) {
  for (const char* name : {"Q8_0", "Q4_0", "Q5_0", "Q4_K_M", "Q6_K"})
    for (const int64_t n_in : {100, 112})
      test::expect_error(ErrorCode::kInvalidArgument, "expected rows of a multiple of 32",
                         [&] { gguf_mixture(name, MatrixRole::kUp, 0, 24, n_in); });
}

TEST(GgufMixture, UnknownNames) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "type: expected one of F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K_M and Q6_K, got \"Q3_K\"",
                     [] { gguf_mixture("Q3_K", MatrixRole::kUp, 0, 24, 640); });
}

}  // namespace
}  // namespace lille
