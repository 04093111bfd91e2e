#include <algorithm>
#include <span>
#include <string>

#include "base/check.h"
#include "base/text.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"
#include "kernels/tables.h"

namespace lille::kernels {
namespace {

/// One row for each table, best first: a new instruction set is a row here, a field of CpuFeatures, a
/// folder and a line of CMakeLists.txt.
struct Candidate {
  const KernelTable* table;
  bool (*runs_on)(const CpuFeatures& cpu);
};

// Sets whose only news are some of the products.

#if defined(LILLE_KERNELS_AVXVNNI) || defined(LILLE_KERNELS_AMX)
KernelTable with_q8(KernelTable table, std::string_view name, std::string_view required_features,
                    const Q8Kernels& q8) noexcept {
  table.name = name;
  table.required_features = required_features;
  table.q8_words = q8.words;
  table.quantize_q8 = q8.quantize;
  table.matmul_q8 = q8.matmul;
  table.peak_q8 = q8.peak;
  table.peak_q4 = q8.peak;
  return table;
}
#endif

#if defined(LILLE_KERNELS_AVXVNNI)
const KernelTable& avxvnni_table() noexcept {
  static const KernelTable table =
      with_q8(avx2::kTable, "avxvnni", "AVX2, BMI2, FMA, F16C and AVX-VNNI", avxvnni::kKernels);
  return table;
}
#endif

#if defined(LILLE_KERNELS_AVX512BF16)
const KernelTable& avx512bf16_table() noexcept {
  static const KernelTable table = [] {
    KernelTable better = avx512vnni::kTable;
    better.name = "avx512bf16";
    better.required_features = "AVX2, BMI2, FMA, F16C and AVX-512 F, BW, DQ, VL, VBMI, VNNI, BF16";
    better.bf16 = avx512bf16::kKernels;
    return better;
  }();
  return table;
}
#endif

#if defined(LILLE_KERNELS_AMX)
const KernelTable& amx_table() noexcept {
  static const KernelTable table = [] {
    KernelTable better = with_q8(avx512vnni::kTable, "amx",
                                 "AVX2, BMI2, FMA, F16C, AVX-512 F, BW, DQ, VL, VBMI, VNNI, BF16, "
                                 "AMX TILE, INT8, BF16 and the system's leave to use tiles",
                                 amx::kKernels.q8);
    better.bf16 = amx::kKernels.bf16;
    return better;
  }();
  return table;
}
#endif

std::span<const Candidate> candidates() noexcept {
  static const Candidate kCandidates[] = {
#if defined(LILLE_KERNELS_AMX)
    {&amx_table(), [](const CpuFeatures& cpu) { return cpu.amx; }},
#endif
#if defined(LILLE_KERNELS_AVX512BF16)
    {&avx512bf16_table(), [](const CpuFeatures& cpu) { return cpu.avx512bf16; }},
#endif
#if defined(LILLE_KERNELS_AVX512VNNI)
    {&avx512vnni::kTable, [](const CpuFeatures& cpu) { return cpu.avx512vnni; }},
#endif
#if defined(LILLE_KERNELS_AVX512)
    {&avx512::kTable, [](const CpuFeatures& cpu) { return cpu.avx512; }},
#endif
#if defined(LILLE_KERNELS_AVXVNNI)
    {&avxvnni_table(), [](const CpuFeatures& cpu) { return cpu.avxvnni; }},
#endif
#if defined(LILLE_KERNELS_AVX2)
    {&avx2::kTable, [](const CpuFeatures& cpu) { return cpu.avx2; }},
#endif
#if defined(LILLE_KERNELS_NEONI8MM)
    {&neoni8mm::kTable, [](const CpuFeatures& cpu) { return cpu.neoni8mm; }},
#endif
#if defined(LILLE_KERNELS_NEONDOT)
    {&neondot::kTable, [](const CpuFeatures& cpu) { return cpu.neondot; }},
#endif
#if defined(LILLE_KERNELS_NEON)
    {&neon::kTable, [](const CpuFeatures& cpu) { return cpu.neon; }},
#endif
    {&reference::kTable, [](const CpuFeatures&) { return true; }},
  };
  return kCandidates;
}

std::string names_of(std::span<const KernelTable* const> tables) {
  std::string names;
  for (const KernelTable* table : tables) {
    if (!names.empty()) names += ", ";
    names += table->name;
  }
  return names;
}

}  // namespace

std::vector<const KernelTable*> all_kernel_tables() {
  std::vector<const KernelTable*> tables;
  for (const Candidate& candidate : candidates()) tables.push_back(candidate.table);
  return tables;
}

std::vector<const KernelTable*> supported_kernel_tables() {
  const CpuFeatures cpu = detect_cpu_features();
  std::vector<const KernelTable*> supported;
  for (const Candidate& candidate : candidates())
    if (candidate.runs_on(cpu)) supported.push_back(candidate.table);
  return supported;
}

const KernelTable& select_kernel_table(std::string_view forced_name) {
  const std::vector<const KernelTable*> supported = supported_kernel_tables();
  if (forced_name.empty()) return *supported.front();
  const auto has_name = [&](const KernelTable* table) { return table->name == forced_name; };
  if (const auto found = std::find_if(supported.begin(), supported.end(), has_name); found != supported.end())
    return **found;
  const std::vector<const KernelTable*> tables = all_kernel_tables();
  const auto known = std::find_if(tables.begin(), tables.end(), has_name);
  if (known == tables.end())
    raise(ErrorCode::kInvalidArgument, "[kernels] instruction set: expected one of {}, got '{}'",
          names_of(supported), printable(forced_name, 40));
  raise(ErrorCode::kUnsupported,
        "[kernels] instruction set: '{}' needs {}, which this machine lacks. Hint: use {}", forced_name,
        (*known)->required_features, names_of(supported));
}

}  // namespace lille::kernels
