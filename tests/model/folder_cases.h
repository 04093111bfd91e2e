#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "io/safetensors.h"
#include "lille/convert.h"
#include "model/formula.h"
#include "support.h"

namespace lille::test {

/// Every tensor of the expected file must be in the other with the same dtype, shape and bytes.
inline void expect_tensors_of(const std::filesystem::path& actual_file,
                              const std::filesystem::path& expected_file) {
  const SafetensorsFile actual(actual_file);
  const SafetensorsFile expected(expected_file);
  for (const TensorView& tensor : expected.tensors()) {
    const TensorView* found = actual.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes)) << tensor.name;
  }
}

/// Both files have the same tensors.
inline void expect_same_tensors(const std::filesystem::path& actual_file,
                                const std::filesystem::path& expected_file) {
  expect_tensors_of(actual_file, expected_file);
  EXPECT_EQ(SafetensorsFile(actual_file).tensors().size(), SafetensorsFile(expected_file).tensors().size());
}

struct Shape {
  int64_t n_embd;
  int64_t n_head;
  int64_t n_kv_heads;
};

/// Makes a folder with two blocks of weights of a formula, in one type.
inline void make_formula_folder(const std::filesystem::path& folder, const Shape& shape, FloatType type,
                                bool has_tokenizer) {
  std::filesystem::create_directory(folder);
  ModelArgs args;
  args.n_embd = shape.n_embd;
  args.n_head = shape.n_head;
  args.n_kv_heads = shape.n_kv_heads;
  args.model_type = "lille-130m";
  args.block_size = 32;
  args.layer_norm_eps = 1e-5F;
  args.n_layer = 2;
  args.rope_theta = 10000;
  args.vocab_size = has_tokenizer ? 32768 : 300;
  std::ofstream(folder / "config.json") << args.to_json();
  if (has_tokenizer)
    for (const char* file : {"vocab.json", "merges.txt", "tokenizer_config.json"})
      std::filesystem::copy(source_path("models/lille-tiny-8bit") / file, folder);
  if (type == FloatType::kF32) return write_formula_weights(folder, DType::kF32, keep_f32);
  if (type == FloatType::kF16) return write_formula_weights(folder, DType::kF16, f32_to_f16);
  write_formula_weights(folder, DType::kBF16, f32_to_bf16);
}

}  // namespace lille::test
