#include "model/matrix_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/float_kind.h"
#include "kernels/weight_kind.h"
#include "model/weight_types.h"
#include "quantize/gguf_blocks.h"
#include "quantize/packed.h"
#include "quantize/rows.h"

namespace lille {
namespace {

// Where llama.cpp's order puts a row of the model's order: the halves of a head become its even and odd rows.
int64_t permuted_row(int64_t row, int64_t head_dim) {
  const int64_t in_head = row % head_dim;
  const int64_t half = head_dim / 2;
  return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

int64_t place_of(int64_t row, int64_t head_dim) { return head_dim == 0 ? row : permuted_row(row, head_dim); }

// Copies one row of an array of rows of the same size to another place.
void copy_row(std::vector<std::byte>& to, int64_t to_row, const void* from, int64_t from_row,
              int64_t row_bytes) {
  std::memcpy(to.data() + to_row * row_bytes, static_cast<const std::byte*>(from) + from_row * row_bytes,
              static_cast<std::size_t>(row_bytes));
}

template <typename Element>
std::vector<std::byte> convert(const RowSource& source, ThreadPool& pool, Element (*narrow)(float),
                               float (*widen)(Element), std::string_view type) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(source.n_rows * source.n_in) * sizeof(Element));
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    std::byte* out = bytes.data() + row_idx * source.n_in * static_cast<int64_t>(sizeof(Element));
    for (std::size_t col = 0; col < row.size(); ++col) {
      const Element element = narrow(row[col]);
      if (!std::isfinite(widen(element)))
        raise(ErrorCode::kInvalidArgument,
              "weight ({}, {}): expected a number that {} holds, got {}. Hint: use bfloat16 or float32",
              row_idx, col, type, row[col]);
      std::memcpy(out, &element, sizeof(Element));
      out += sizeof(Element);
    }
  });
  return bytes;
}

std::vector<std::byte> convert(const RowSource& source, DType dtype, ThreadPool& pool) {
  const auto keep = [](float value) { return value; };
  if (dtype == DType::kF32) return convert<float>(source, pool, keep, keep, "float32");
  if (dtype == DType::kF16) return convert<uint16_t>(source, pool, f32_to_f16, f16_to_f32, "float16");
  LILLE_CHECK(dtype == DType::kBF16);
  return convert<uint16_t>(source, pool, f32_to_bf16, bf16_to_f32, "bfloat16");
}

std::vector<std::byte> encode(const kernels::WeightMatrix& matrix, DType dtype, ThreadPool& pool) {
  if (dtype_block_elements(dtype) > 1) return quantize_blocks(matrix, weight_kind(dtype).value(), pool);
  const kernels::KernelTable& kernels = kernels::select_kernel_table({});
  const auto read = [&](float* out, int64_t row_idx) { kernels.dequantize_row(out, matrix, row_idx); };
  return convert({matrix.n_out, matrix.n_in, read}, dtype, pool);
}

// Byte by byte, so that a NaN stays what it is.
std::vector<std::byte> copy_parts(std::span<const LinearPart> parts, int64_t n_rows, int64_t row_bytes) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(n_rows * row_bytes));
  int64_t to = 0;
  for (const LinearPart& part : parts)
    for (int64_t row = 0; row < part.weight.n_out; ++row, ++to)
      copy_row(bytes, to, part.weight.data, place_of(row, part.permuted_head_dim), row_bytes);
  return bytes;
}

// The matrix itself, or the rows of a packed one.
kernels::WeightMatrix as_stored_rows(kernels::WeightMatrix matrix, AffineMatrix& unpacked) {
  if (matrix.kind != kernels::WeightKind::kPacked) return matrix;
  unpacked = unpack_affine(matrix);
  matrix.kind = kernels::WeightKind::kAffine;
  matrix.data = unpacked.codes.data();
  matrix.scales = unpacked.scales.data();
  matrix.biases = unpacked.biases.data();
  return matrix;
}

}  // namespace

void dequantize_row(float* out, std::span<const LinearPart> parts, int64_t row,
                    const kernels::KernelTable& kernels) noexcept {
  for (const LinearPart& part : parts) {
    if (row < part.weight.n_out)
      return kernels.dequantize_row(out, part.weight, place_of(row, part.permuted_head_dim));
    row -= part.weight.n_out;
  }
}

std::vector<float> dequantised(std::span<const LinearPart> parts) {
  const kernels::KernelTable& kernels = kernels::select_kernel_table({});
  const int64_t n_in = parts.front().weight.n_in;
  int64_t n_out = 0;
  for (const LinearPart& part : parts) n_out += part.weight.n_out;
  std::vector<float> rows(static_cast<std::size_t>(n_out * n_in));
  for (int64_t row_idx = 0; row_idx < n_out; ++row_idx)
    dequantize_row(rows.data() + row_idx * n_in, parts, row_idx, kernels);
  return rows;
}

OwnedMatrix copy_rows(const Linear& linear, int64_t first, int64_t n, int64_t permuted_head_dim) {
  int64_t part_begin = 0;
  const LinearPart* part = nullptr;
  for (const LinearPart& candidate : linear.parts) {
    if (first >= part_begin && first + n <= part_begin + candidate.weight.n_out) {
      part = &candidate;
      break;
    }
    part_begin += candidate.weight.n_out;
  }
  LILLE_CHECK(part != nullptr);
  AffineMatrix unpacked;
  const kernels::WeightMatrix source = as_stored_rows(part->weight, unpacked);
  const bool is_affine = source.kind == kernels::WeightKind::kAffine;
  const int64_t row_bytes = kernels::row_bytes(source);
  const int64_t scale_bytes =
      is_affine ? source.n_in / source.group_size * kernels::float_bytes(source.scale_kind) : 0;
  OwnedMatrix owned;
  owned.data.resize(static_cast<std::size_t>(n * row_bytes));
  owned.scales.resize(static_cast<std::size_t>(n * scale_bytes));
  owned.biases.resize(static_cast<std::size_t>(n * scale_bytes));
  for (int64_t row = 0; row < n; ++row) {
    const int64_t from = place_of(first - part_begin + row, part->permuted_head_dim);
    const int64_t to = place_of(row, permuted_head_dim);
    copy_row(owned.data, to, source.data, from, row_bytes);
    if (!is_affine) continue;
    copy_row(owned.scales, to, source.scales, from, scale_bytes);
    copy_row(owned.biases, to, source.biases, from, scale_bytes);
  }
  owned.matrix = source;
  owned.matrix.n_out = n;
  owned.matrix.data = owned.data.data();
  owned.matrix.scales = owned.scales.data();
  owned.matrix.biases = owned.biases.data();
  return owned;
}

std::vector<std::byte> encode_matrix(const kernels::WeightMatrix& matrix, DType dtype, std::string_view name,
                                     ThreadPool& pool) {
  if (gguf_dtype(matrix.kind) == dtype) {
    const auto* data = static_cast<const std::byte*>(matrix.data);
    return {data, data + matrix.n_out * kernels::row_bytes(matrix)};
  }
  try {
    return encode(matrix, dtype, pool);
  } catch (const Error& error) {
    raise_with_name(error, name);
  }
}

std::vector<std::byte> encode_floats(std::span<const LinearPart> parts, DType dtype, std::string_view name,
                                     ThreadPool& pool) {
  int64_t n_rows = 0;
  for (const LinearPart& part : parts) n_rows += part.weight.n_out;
  const int64_t n_in = parts.front().weight.n_in;
  if (std::ranges::all_of(parts,
                          [dtype](const LinearPart& part) { return gguf_dtype(part.weight.kind) == dtype; }))
    return copy_parts(parts, n_rows, n_in * dtype_bytes(dtype));
  const kernels::KernelTable& kernels = kernels::select_kernel_table({});
  const auto read = [&](float* out, int64_t row_idx) { dequantize_row(out, parts, row_idx, kernels); };
  try {
    return convert({n_rows, n_in, read}, dtype, pool);
  } catch (const Error& error) {
    raise_with_name(error, name);
  }
}

void raise_with_name(const Error& error, std::string_view name) {
  std::string_view message = error.what();
  if (const std::size_t end = message.find("] "); message.starts_with('[') && end != message.npos)
    message.remove_prefix(end + 2);
  raise(error.code(), "[convert] {}: {}", name, message);
}

std::optional<DType> gguf_dtype(kernels::WeightKind kind) noexcept {
  for (const WeightTypeRow& row : kWeightTypes)
    if (row.kind == kind) return row.dtype;
  return std::nullopt;
}

}  // namespace lille
