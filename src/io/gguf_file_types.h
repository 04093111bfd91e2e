#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lille {

/// A value of general.file_type: the mixture of types that a file was quantised to.
struct GgufFileTypeRow {
  uint32_t number;
  std::string_view name;
};

/// Source: ggml-org/llama.cpp include/llama.h llama_ftype; the ones that files of Lille may have.
inline constexpr std::array<GgufFileTypeRow, 13> kGgufFileTypes = {{{0, "F32"},
                                                                    {1, "F16"},
                                                                    {2, "Q4_0"},
                                                                    {3, "Q4_1"},
                                                                    {7, "Q8_0"},
                                                                    {8, "Q5_0"},
                                                                    {9, "Q5_1"},
                                                                    {14, "Q4_K_S"},
                                                                    {15, "Q4_K_M"},
                                                                    {16, "Q5_K_S"},
                                                                    {17, "Q5_K_M"},
                                                                    {18, "Q6_K"},
                                                                    {32, "BF16"}}};

}  // namespace lille
