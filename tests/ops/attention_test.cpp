#include "ops/attention.h"

#include "kernels/block_formats.h"
#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

/// A case of ops.safetensors: 6 query heads, 2 kv heads of width 32. Causal: query row t of n_rows sees the
/// keys up to n_keys - n_rows + t.
struct GoldenCase {
  const char* name;
  int64_t n_batch;
  int64_t n_rows;
  int64_t n_keys;
  bool causal;
};

constexpr GoldenCase kGoldenCases[] = {{"causal_T7_S7", 2, 7, 7, true},
                                       {"causal_T4_S11", 1, 4, 11, true},
                                       {"nomask_T1_S9", 2, 1, 9, false},
                                       {"nomask_T5_S5", 1, 5, 5, false}};
constexpr AttentionShape kGoldenShape = {.n_head = 6, .n_kv_heads = 2, .head_dim = 32};

/// (n_batch, n_heads, n_rows, head_dim) to (n_batch * n_rows, n_heads * head_dim).
std::vector<float> heads_into_rows(const std::vector<float>& from, int64_t n_batch, int64_t n_heads,
                                   int64_t n_rows) {
  const int64_t head_dim = kGoldenShape.head_dim;
  std::vector<float> to(from.size());
  for (int64_t batch = 0; batch < n_batch; ++batch)
    for (int64_t head = 0; head < n_heads; ++head)
      for (int64_t row = 0; row < n_rows; ++row)
        std::copy_n(from.begin() + ((batch * n_heads + head) * n_rows + row) * head_dim, head_dim,
                    to.begin() + ((batch * n_rows + row) * n_heads + head) * head_dim);
  return to;
}

std::vector<AttentionRow> golden_rows(const GoldenCase& golden, const std::byte* keys,
                                      const std::byte* values, int64_t element_bytes) {
  const int64_t batch_bytes = kGoldenShape.n_kv_heads * golden.n_keys * kGoldenShape.head_dim * element_bytes;
  std::vector<AttentionRow> rows;
  for (int64_t batch = 0; batch < golden.n_batch; ++batch)
    for (int64_t row = 0; row < golden.n_rows; ++row)
      rows.push_back({.keys = keys + batch * batch_bytes,
                      .values = values + batch * batch_bytes,
                      .capacity = golden.n_keys,
                      .n_keys = golden.causal ? golden.n_keys - golden.n_rows + row + 1 : golden.n_keys});
  return rows;
}

using Attention = EveryTable;

TEST_P(Attention, EqualsMlx) {
  OwnDevice own(table());
  for (const bool bf16 : {false, true})
    for (const GoldenCase& golden : kGoldenCases) {
      const std::string name = std::string("sdpa.") + golden.name;
      const std::string suffix = bf16 ? "_bf16" : "";
      std::vector<float> queries =
          heads_into_rows(floats_of(golden_ops().at(name + ".q" + suffix)), golden.n_batch, 6, golden.n_rows);
      std::vector<float> out(queries.size());
      AttentionShape shape = kGoldenShape;
      shape.cache_kind = bf16 ? kernels::WeightKind::kBF16 : kernels::WeightKind::kF32;
      const std::vector<AttentionRow> rows =
          golden_rows(golden, golden_ops().at(name + ".k" + suffix).bytes.data(),
                      golden_ops().at(name + ".v" + suffix).bytes.data(), bf16 ? 2 : 4);
      const int64_t n_rows = golden.n_batch * golden.n_rows;
      scaled_dot_product_attention(own.device, rows_of(out, n_rows, 192), rows_of(queries, n_rows, 192), rows,
                                   shape);
      const std::vector<float> expected = heads_into_rows(floats_of(golden_ops().at(name + ".out" + suffix)),
                                                          golden.n_batch, 6, golden.n_rows);
      expect_near(out, expected, bf16 ? 4e-2 : 1e-5, bf16 ? 0.01 : 0, name + suffix);
    }
}

/// Rows of three sequences of different lengths, some in several rows (a prompt), in one call.
void expect_rows_do_not_depend_on_others(const kernels::KernelTable& table, const AttentionShape& shape) {
  constexpr int64_t kCapacity = 96;
  const int64_t width = shape.n_head * shape.head_dim;
  const int64_t n_cached = shape.n_kv_heads * kCapacity * shape.head_dim;
  const std::vector<float> keys = random_floats(3 * n_cached, 1);
  const std::vector<float> values = random_floats(3 * n_cached, 2);
  std::vector<AttentionRow> rows;
  const auto append = [&](int64_t sequence, int64_t first, int64_t n) {
    for (int64_t n_keys = first; n_keys < first + n; ++n_keys)
      rows.push_back(
          {keys.data() + sequence * n_cached, values.data() + sequence * n_cached, kCapacity, n_keys});
  };
  append(0, 1, 80);
  append(1, 96, 1);
  append(2, 30, 10);
  append(1, 31, 1);
  append(2, 32, 2);
  const auto n_rows = static_cast<int64_t>(rows.size());
  std::vector<float> queries = random_floats(n_rows * width, 3);
  std::vector<float> together;
  expect_same_for_any_threads(table, [&](Device& device) {
    together.assign(queries.size(), -5.0f);
    scaled_dot_product_attention(device, rows_of(together, n_rows, width), rows_of(queries, n_rows, width),
                                 rows, shape);
    return together;
  });
  OwnDevice own(table);
  std::vector<float> alone(together.size());
  for (int64_t row = 0; row < n_rows; ++row)
    scaled_dot_product_attention(own.device, rows_of(alone, n_rows, width).rows(row, 1),
                                 rows_of(queries, n_rows, width).rows(row, 1),
                                 std::span(rows).subspan(static_cast<std::size_t>(row), 1), shape);
  expect_same_bits(alone, together, "row by row");
}

TEST_P(Attention, ARowsAnswerDependsNeitherOnTheBatchNorOnThreads) {
  for (const int64_t head_dim : {24, 64})
    expect_rows_do_not_depend_on_others(table(), {.n_head = 10, .n_kv_heads = 2, .head_dim = head_dim});
}

/// Blocks of random codes whose scale is 1/128, and their values.
std::vector<kernels::BlockQ8_0> random_blocks(int64_t n_values, uint32_t seed, std::vector<float>& values) {
  std::mt19937 random(seed);
  std::vector<kernels::BlockQ8_0> blocks(static_cast<std::size_t>(n_values / kernels::kBlockWeights));
  const uint16_t scale = f32_to_f16(0x1p-7f);
  values.clear();
  for (kernels::BlockQ8_0& block : blocks) {
    std::memcpy(block.scale, &scale, sizeof(scale));
    for (int8_t& code : block.codes) {
      code = static_cast<int8_t>(random());
      values.push_back(static_cast<float>(code) * 0x1p-7f);
    }
  }
  return blocks;
}

/// The same values in blocks and in float32, over a capacity that is larger than what is seen.
TEST_P(Attention, ACacheOfBlocksIsThatOfItsValues) {
  AttentionShape shape = {.n_head = 6, .n_kv_heads = 2, .head_dim = 64};
  constexpr int64_t kCapacity = 50;
  std::vector<float> keys;
  std::vector<float> values;
  const auto key_blocks = random_blocks(2 * kCapacity * 64, 1, keys);
  const auto value_blocks = random_blocks(2 * kCapacity * 64, 2, values);
  std::vector<float> queries = random_floats(6 * 64, 3);
  const AttentionRow floats = {keys.data(), values.data(), kCapacity, 41};
  const AttentionRow blocks = {key_blocks.data(), value_blocks.data(), kCapacity, 41};
  OwnDevice own(table());
  std::vector<float> expected(6 * 64);
  scaled_dot_product_attention(own.device, rows_of(expected, 1, 384), rows_of(queries, 1, 384), {&floats, 1},
                               shape);
  const std::vector<float> weights = attention_weights(queries.data(), floats, shape);
  shape.cache_kind = kernels::WeightKind::kQ8_0;
  std::vector<float> out(6 * 64);
  scaled_dot_product_attention(own.device, rows_of(out, 1, 384), rows_of(queries, 1, 384), {&blocks, 1},
                               shape);
  expect_same_bits(out, expected, "both have one order of accumulation");
  EXPECT_EQ(attention_weights(queries.data(), blocks, shape), weights);
}

TEST_P(Attention, WeightsGiveTheSameMean) {
  const AttentionShape shape = {
      .n_head = 6, .n_kv_heads = 2, .head_dim = 16, .cache_kind = kernels::WeightKind::kF32};
  constexpr int64_t kCapacity = 50;
  constexpr int64_t kKeys = 41;
  const std::vector<float> keys = random_floats(2 * kCapacity * 16, 1);
  const std::vector<float> values = random_floats(2 * kCapacity * 16, 2);
  std::vector<float> queries = random_floats(6 * 16, 3);
  const AttentionRow row = {keys.data(), values.data(), kCapacity, kKeys};
  const std::vector<float> weights = attention_weights(queries.data(), row, shape);
  ASSERT_EQ(weights.size(), std::size_t{6 * kKeys});
  std::vector<float> expected(6 * 16);
  for (int64_t head = 0; head < 6; ++head) {
    double sum = 0;
    for (int64_t key = 0; key < kKeys; ++key) sum += weights[static_cast<std::size_t>(head * kKeys + key)];
    EXPECT_NEAR(sum, 1.0, 1e-6);
    for (int64_t dim = 0; dim < 16; ++dim) {
      double mean = 0;
      for (int64_t key = 0; key < kKeys; ++key)
        mean += double{weights[static_cast<std::size_t>(head * kKeys + key)]} *
                double{values[static_cast<std::size_t>((head / 3 * kCapacity + key) * 16 + dim)]};
      expected[static_cast<std::size_t>(head * 16 + dim)] = static_cast<float>(mean);
    }
  }
  OwnDevice own(table());
  std::vector<float> out(expected.size());
  scaled_dot_product_attention(own.device, rows_of(out, 1, 96), rows_of(queries, 1, 96), {&row, 1}, shape);
  expect_near(out, expected, 2e-6, 0, "mean");
}

LILLE_FOR_EVERY_TABLE(Attention);

TEST(AttentionShapes, AreChecked) {
  OwnDevice own(best_table());
  std::vector<float> cache(1024);
  std::vector<float> queries(256);
  std::vector<float> out(256);
  const AttentionShape good = {.n_head = 4, .n_kv_heads = 2, .head_dim = 8};
  const AttentionRow good_row = {cache.data(), cache.data(), 16, 16};
  const auto with = [&](AttentionShape shape, AttentionRow row, int64_t n_cols, std::size_t n_entries = 1) {
    return [&, shape, row, n_cols, n_entries] {
      const std::vector<AttentionRow> rows(n_entries, row);
      scaled_dot_product_attention(own.device, rows_of(out, 1, n_cols), rows_of(queries, 1, n_cols), rows,
                                   shape);
    };
  };
  EXPECT_NO_THROW(with(good, good_row, 32)());
  AttentionShape blocks = good;
  blocks.cache_kind = kernels::WeightKind::kQ8_0;
  test::expect_error(ErrorCode::kInvalidShape, "head_dim a multiple of 32, got Q8_0 and head_dim 8",
                     with(blocks, good_row, 32));
  blocks.cache_kind = kernels::WeightKind::kQ4_0;
  test::expect_error(ErrorCode::kInvalidShape, "got Q4_0", with(blocks, good_row, 32));
  test::expect_error(ErrorCode::kInvalidShape, "multiple of n_kv_heads", with({5, 2, 8}, good_row, 40));
  test::expect_error(ErrorCode::kInvalidShape, "multiple of n_kv_heads", with({4, 0, 8}, good_row, 32));
  test::expect_error(ErrorCode::kInvalidShape, "queries: expected (1, 32), got (1, 31)",
                     with(good, good_row, 31));
  test::expect_error(ErrorCode::kInvalidShape, "expected 1, one for each row, got 2",
                     with(good, good_row, 32, 2));
  AttentionRow empty = good_row;
  empty.n_keys = 0;
  test::expect_error(ErrorCode::kInvalidShape, "expected 1 to 16 keys, its cache's capacity, got 0",
                     with(good, empty, 32));
  AttentionRow beyond = good_row;
  beyond.n_keys = 17;
  test::expect_error(ErrorCode::kInvalidShape, "got 17", with(good, beyond, 32));
  test::expect_error(ErrorCode::kInvalidShape, "got 17",
                     [&] { attention_weights(queries.data(), beyond, good); });
}

}  // namespace
}  // namespace lille::ops
