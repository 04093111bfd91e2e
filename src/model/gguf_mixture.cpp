#include "model/gguf_mixture.h"

#include <array>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

struct MixtureRow {
  std::string_view name;
  DType dtype;                 // of most matrices
  bool has_more_bits = false;  // Q6_K for some values and down_proj
};

constexpr std::array<MixtureRow, 8> kMixtures = {{{"F32", DType::kF32},
                                                  {"F16", DType::kF16},
                                                  {"BF16", DType::kBF16},
                                                  {"Q8_0", DType::kQ8_0},
                                                  {"Q4_0", DType::kQ4_0},
                                                  {"Q5_0", DType::kQ5_0},
                                                  {"Q4_K_M", DType::kQ4_K, true},
                                                  {"Q6_K", DType::kQ6_K}}};

const MixtureRow& row_of(std::string_view name) {
  for (const MixtureRow& row : kMixtures)
    if (row.name == name) return row;
  raise(ErrorCode::kInvalidArgument, "[export_gguf] type: expected one of {}, got \"{}\"",
        gguf_mixture_names(), printable(name));
}

// The first and last eighth of the layers, and every third of those between.
bool uses_more_bits(int64_t layer_idx, int64_t n_layer) {
  return layer_idx < n_layer / 8 || layer_idx >= 7 * n_layer / 8 || (layer_idx - n_layer / 8) % 3 == 2;
}

bool fits(DType dtype, int64_t n_in) { return n_in % dtype_block_elements(dtype) == 0; }

DType fallback(DType dtype) {
  if (dtype == DType::kQ4_K) return DType::kQ5_0;
  return dtype == DType::kQ6_K ? DType::kQ8_0 : dtype;
}

}  // namespace

std::string_view gguf_mixture_names() noexcept { return "F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q4_K_M and Q6_K"; }

DType gguf_mixture(std::string_view name, MatrixRole role, int64_t layer_idx, int64_t n_layer, int64_t n_in,
                   bool pure) {
  const MixtureRow& mixture = row_of(name);
  DType dtype = mixture.dtype;
  if (dtype_block_elements(dtype) == 1) return dtype;
  const bool may_have_more = role == MatrixRole::kValues || role == MatrixRole::kDown;
  if (pure)
    dtype = mixture.dtype;
  else if (role == MatrixRole::kEmbedding)
    dtype = !fits(dtype, n_in) || dtype == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  else if (mixture.has_more_bits && may_have_more && uses_more_bits(layer_idx, n_layer))
    dtype = DType::kQ6_K;
  if (!fits(dtype, n_in)) dtype = fallback(dtype);
  if (!fits(dtype, n_in))
    raise(ErrorCode::kInvalidArgument,
          "[export_gguf] {}: expected rows of a multiple of 32, which the smallest blocks of GGUF hold, got "
          "rows of "
          "{}. Hint: F16 or BF16 store any row",
          name, n_in);
  return dtype;
}

}  // namespace lille
