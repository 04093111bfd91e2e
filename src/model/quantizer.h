#pragma once

#include <vector>

#include "lille/quantize.h"
#include "model/export_codes.h"

namespace lille {

/// The codes of all planned matrices, as quantize_model makes them.
/// @param options  with a calibration of whole windows, except for kRtn; its setting is not looked at.
/// @throws Error that names the matrix; Error(kCanceled).
CodesByName make_codes(const Model& model, const QuantizeOptions& options,
                       const std::vector<CodesPlan>& plans);

}  // namespace lille
