#pragma once

#include <vector>

#include "lille/quantize.h"
#include "model/export_codes.h"

namespace lille {

/// Changes codes, scales and biases by gradient, all matrices together, so that on the calibration the
/// predictions of the model in codes come near those of the source: options.tune_epochs times over all its
/// windows, each time in another order, a step of TunedMatrix after each window.
/// @param codes  of the planned matrices; what has no codes stays as the source has it.
/// @throws Error(kCanceled); Error(kInvalidArgument) that names the matrix for a scale that its type does not
///   hold.
void tune_codes(const Model& model, const QuantizeOptions& options, const std::vector<CodesPlan>& plans,
                CodesByName& codes);

}  // namespace lille
