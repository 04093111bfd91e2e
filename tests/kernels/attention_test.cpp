#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/kernel_cases.h"

namespace lille::kernels {
namespace {

constexpr WeightKind kCacheKinds[] = {WeightKind::kF32, WeightKind::kF16, WeightKind::kBF16,
                                      WeightKind::kQ8_0};

struct Case {
  WeightKind kind = WeightKind::kF32;
  int64_t n_keys = 0;
  int64_t head_dim = 0;
  int64_t n_rep = 0;
};

struct Inputs {
  std::vector<float> queries;
  std::vector<float> values;  ///< As the cache holds them.
  OddBytes keys;
  OddBytes cached_values;
};

/// Keys or values of the kind, and in `values`, unless it is null, as float32.
OddBytes random_cache(const Case& shape, uint32_t seed, std::vector<float>* values) {
  OddMatrix matrix = random_matrix({.kind = shape.kind}, shape.n_keys, shape.head_dim, seed);
  if (values != nullptr) {
    values->resize(static_cast<std::size_t>(shape.n_keys * shape.head_dim));
    for (int64_t key_idx = 0; key_idx < shape.n_keys; ++key_idx)
      reference_table().dequantize_row(values->data() + key_idx * shape.head_dim, matrix.view, key_idx);
  }
  return std::move(matrix.data);
}

Inputs make_inputs(const Case& shape) {
  Inputs inputs;
  inputs.queries = random_floats(static_cast<std::size_t>(shape.n_rep * shape.head_dim), 21, 2.0f);
  inputs.cached_values = random_cache(shape, 22, &inputs.values);
  inputs.keys = random_cache(shape, 23, nullptr);
  return inputs;
}

std::vector<float> attend(const KernelTable& table, const Case& shape, Inputs& inputs,
                          int64_t first_rep = 0) {
  std::vector<float> out(static_cast<std::size_t>((shape.n_rep - first_rep) * shape.head_dim), -99.0f);
  table.attention({.out = out.data(),
                   .queries = inputs.queries.data() + first_rep * shape.head_dim,
                   .keys = inputs.keys.data(),
                   .values = inputs.cached_values.data(),
                   .cache_kind = shape.kind,
                   .n_rep = shape.n_rep - first_rep,
                   .n_keys = shape.n_keys,
                   .head_dim = shape.head_dim,
                   .scale = 1 / std::sqrt(static_cast<float>(shape.head_dim))});
  return out;
}

/// A score is a chain of head_dim/8 + 4 roundings of a sum at most |q||k|/sqrt(d); its error moves the
/// logarithm of a weight, so a weighted mean of values moves by at most twice that times the largest value.
/// The mean itself is a chain of at most n_keys roundings, and exp is within 2 units.
double tolerance(const Case& shape, const Inputs& inputs) {
  double largest_value = 0;
  for (const float value : inputs.values) largest_value = std::max(largest_value, double{std::abs(value)});
  // Components of the queries have deviation 2, of the keys at most 1: |q||k|/sqrt(d) stays below 4 *
  // sqrt(d).
  const auto head_dim = static_cast<double>(shape.head_dim);
  const double score_error = (head_dim / 8 + 5) * kRoundoff * 4 * std::sqrt(head_dim);
  return (2 * score_error + static_cast<double>(shape.n_keys + 16) * kRoundoff) * largest_value;
}

using Attention = EveryTable;

TEST_P(Attention, EqualsTheReference) {
  for (const WeightKind kind : kCacheKinds)
    for (const int64_t head_dim : {2, 10, 24, 32, 64, 96, 128})
      for (const int64_t n_rep : {1, 2, 3, 4, 5, 6, 7, 13}) {
        if (head_dim % block_weights(kind) != 0) continue;
        // Lille's own shape sees every number of keys, the others each side of a block's border.
        for (int64_t n_keys = 1; n_keys <= 100; n_keys += n_rep == 5 && head_dim == 64 ? 1 : 31) {
          const Case shape = {kind, n_keys, head_dim, n_rep};
          Inputs inputs = make_inputs(shape);
          const std::vector<float> actual = attend(table(), shape, inputs);
          const std::vector<float> expected = attend(reference_table(), shape, inputs);
          const double allowed = tolerance(shape, inputs);
          for (std::size_t idx = 0; idx < actual.size(); ++idx)
            ASSERT_NEAR(actual[idx], expected[idx], allowed)
                << table().name << " " << weight_kind_name(kind) << " head_dim " << head_dim << " n_rep "
                << n_rep << " n_keys " << n_keys << " element " << idx;
        }
      }
}

TEST_P(Attention, HeadsBesideItDoNotChangeAHeadsBits) {
  for (const WeightKind kind : kCacheKinds)
    for (const int64_t n_keys : {1, 31, 32, 33, 64, 77}) {
      const Case shape = {kind, n_keys, kind == WeightKind::kQ8_0 ? 32 : 24, 13};
      Inputs inputs = make_inputs(shape);
      const std::vector<float> all = attend(table(), shape, inputs);
      for (int64_t first_rep = 1; first_rep < shape.n_rep; ++first_rep) {
        const std::vector<float> expected(all.begin() + first_rep * shape.head_dim, all.end());
        expect_same_bits(attend(table(), shape, inputs, first_rep), expected,
                         fmt::format("from head {}", first_rep));
      }
    }
}

/// Rows of a prompt, which may share what is made of the keys; also on both sides of a block's border, and
/// more than share it at once.
TEST_P(Attention, RowsBesideItDoNotChangeARowsBits) {
  for (const WeightKind kind : kCacheKinds)
    for (const int64_t head_dim : {32, 64, 96})
      for (const int64_t n_rep : {1, 5, 7})
        for (const int64_t n_rows : {2, 3, 19}) {
          constexpr int64_t kFirstKeys = 30;
          const Case shape = {kind, kFirstKeys + n_rows - 1, head_dim, n_rep};
          const int64_t stride = n_rep * head_dim + 8;
          Inputs inputs = make_inputs(shape);
          inputs.queries = random_floats(static_cast<std::size_t>(n_rows * stride), 24, 2.0f);
          std::vector<float> together(inputs.queries.size(), -99.0f);
          std::vector<float> alone = together;
          AttentionArgs args = {.out = together.data(),
                                .queries = inputs.queries.data(),
                                .keys = inputs.keys.data(),
                                .values = inputs.cached_values.data(),
                                .cache_kind = kind,
                                .n_rows = n_rows,
                                .out_stride = stride,
                                .query_stride = stride,
                                .n_rep = n_rep,
                                .n_keys = kFirstKeys,
                                .head_dim = head_dim,
                                .scale = 1 / std::sqrt(static_cast<float>(head_dim))};
          table().attention(args);
          args.n_rows = 1;
          for (int64_t row_idx = 0; row_idx < n_rows; ++row_idx) {
            args.out = alone.data() + row_idx * stride;
            args.queries = inputs.queries.data() + row_idx * stride;
            args.n_keys = kFirstKeys + row_idx;
            table().attention(args);
          }
          expect_same_bits(together, alone,
                           fmt::format("{} head_dim {} n_rep {} n_rows {}", weight_kind_name(kind), head_dim,
                                       n_rep, n_rows));
        }
}

/// A row before a key that is NaN does not see it, although a row beside it does.
TEST_P(Attention, KeysOfALaterRowAreNotSeen) {
  constexpr int64_t kRows = 3;
  const Case shape = {WeightKind::kF32, 20, 64, 2};
  Inputs inputs = make_inputs(shape);
  inputs.queries = random_floats(kRows * 128, 25, 2.0f);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (int64_t idx = 19 * 64; idx < 20 * 64; ++idx) {
    std::memcpy(inputs.keys.data() + idx * 4, &nan, 4);
    std::memcpy(inputs.cached_values.data() + idx * 4, &nan, 4);
  }
  std::vector<float> out(kRows * 128);
  table().attention({.out = out.data(),
                     .queries = inputs.queries.data(),
                     .keys = inputs.keys.data(),
                     .values = inputs.cached_values.data(),
                     .n_rows = kRows,
                     .out_stride = 128,
                     .query_stride = 128,
                     .n_rep = 2,
                     .n_keys = 18,
                     .head_dim = 64,
                     .scale = 0.125f});
  for (std::size_t idx = 0; idx < out.size(); ++idx)
    EXPECT_EQ(std::isnan(out[idx]), idx >= (kRows - 1) * 128) << idx;
}

TEST_P(Attention, KeysPastTheRowAreNotSeen) {
  const Case seen = {WeightKind::kF32, 45, 32, 5};
  Inputs inputs = make_inputs({WeightKind::kF32, 64, 32, 5});
  const std::vector<float> before = attend(table(), seen, inputs);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (int64_t idx = 45 * 32; idx < 64 * 32; ++idx) {
    std::memcpy(inputs.keys.data() + idx * 4, &nan, 4);
    std::memcpy(inputs.cached_values.data() + idx * 4, &nan, 4);
  }
  expect_same_bits(attend(table(), seen, inputs), before, "NaN behind the last key");
}

TEST_P(Attention, OneKeyGivesItsValue) {
  const Case shape = {WeightKind::kF32, 1, 64, 5};
  Inputs inputs = make_inputs(shape);
  const std::vector<float> out = attend(table(), shape, inputs);
  for (std::size_t idx = 0; idx < out.size(); ++idx) EXPECT_EQ(out[idx], inputs.values[idx % 64]);
}

TEST_P(Attention, VeryNegativeScoresStillShareTheWholeWeight) {
  const Case shape = {WeightKind::kF32, 45, 32, 5};
  Inputs inputs = make_inputs(shape);
  std::fill(inputs.queries.begin(), inputs.queries.end(), -1e3f);
  const std::vector<float> keys(45 * 32, 1e3f);
  inputs.keys = encode_floats(keys, FloatKind::kF32);
  const std::vector<float> out = attend(table(), shape, inputs);
  for (std::size_t dim = 0; dim < 32; ++dim) {
    double mean = 0;
    for (std::size_t key_idx = 0; key_idx < 45; ++key_idx)
      mean += double{inputs.values[key_idx * 32 + dim]} / 45;
    EXPECT_NEAR(out[dim], mean, tolerance(shape, inputs)) << dim;
  }
}

TEST_P(Attention, LargeScoresDoNotOverflowAndNaNSpreads) {
  const Case shape = {WeightKind::kF32, 70, 32, 3};
  Inputs inputs = make_inputs(shape);
  for (float& query : inputs.queries) query *= 1e4f;
  for (const float value : attend(table(), shape, inputs)) EXPECT_TRUE(std::isfinite(value));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(inputs.keys.data() + 50 * 32 * 4, &nan, 4);
  for (const float value : attend(table(), shape, inputs)) EXPECT_TRUE(std::isnan(value));
}

/// What a cache stores of a block with NaN or infinity.
TEST_P(Attention, AScaleThatIsNaNSpreads) {
  const Case shape = {WeightKind::kQ8_0, 40, 64, 5};
  const uint16_t nan = 0x7e00;
  Inputs keys = make_inputs(shape);
  std::memcpy(keys.keys.data() + 33 * row_bytes(WeightKind::kQ8_0, 64), &nan, sizeof(nan));
  for (const float value : attend(table(), shape, keys)) EXPECT_TRUE(std::isnan(value));
  Inputs values = make_inputs(shape);
  std::memcpy(values.cached_values.data() + 33 * row_bytes(WeightKind::kQ8_0, 64), &nan, sizeof(nan));
  const std::vector<float> out = attend(table(), shape, values);
  for (std::size_t idx = 0; idx < out.size(); ++idx)
    EXPECT_EQ(std::isnan(out[idx]), idx % 64 < 32) << "only the block's own columns";
}

LILLE_FOR_EVERY_TABLE(Attention);

}  // namespace
}  // namespace lille::kernels
