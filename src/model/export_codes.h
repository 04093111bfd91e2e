#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "kernels/kernel_types.h"
#include "lille/convert.h"
#include "quantize/affine.h"

namespace lille {

/// A matrix that a folder will hold in codes.
struct CodesPlan {
  std::string name;                                          ///< "transformer.layers.0.attention.qkv_proj"
  int64_t n_out = 0;                                         ///< Rows.
  int64_t n_in = 0;                                          ///< Columns.
  LayerQuantization setting;                                 ///< Bits and group.
  kernels::FloatKind scale_kind = kernels::FloatKind::kF32;  ///< Of scales and biases.
};

/// Matrices in codes, by name.
using CodesByName = std::map<std::string, AffineMatrix>;

/// Makes the codes of all planned matrices; called when nothing else stands in the way of the export.
using MakeCodes = FunctionRef<CodesByName(const std::vector<CodesPlan>& plans)>;

/// The matrices that export_folder would write in codes.
/// @throws Error as export_folder for the source and the setting.
std::vector<CodesPlan> plan_codes(const std::filesystem::path& source, const FolderExportOptions& options);

/// What export_folder would say of the folder, without writing it.
/// @throws Error as plan_codes.
FolderExportReport plan_report(const std::filesystem::path& source, const FolderExportOptions& options);

/// A plan's codes as a layer computes with them.
kernels::WeightMatrix weight_of(const CodesPlan& plan, const AffineMatrix& codes) noexcept;

/// export_folder with codes of another maker than quantize_affine.
/// @throws Error as export_folder; what `make` throws, and then nothing is left behind.
FolderExportReport export_folder_with(const std::filesystem::path& source,
                                      const std::filesystem::path& destination,
                                      const FolderExportOptions& options, MakeCodes make);

}  // namespace lille
