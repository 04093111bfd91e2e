#pragma once

#include <string_view>
#include <vector>

#include "kernels/kernel_types.h"

namespace lille::kernels {

/// Best first; the last is the reference, which every machine runs. Only tables that this build has.
std::vector<const KernelTable*> all_kernel_tables();

/// Those of all_kernel_tables() that this processor and its operating system can run.
std::vector<const KernelTable*> supported_kernel_tables();

/// The table to use: the first supported one, or the one named.
/// @param forced_name  a table's name, or empty for the best.
/// @throws Error(kInvalidArgument) for an unknown name, Error(kUnsupported) for one this machine cannot run;
///   both messages list the names that would work.
const KernelTable& select_kernel_table(std::string_view forced_name);

}  // namespace lille::kernels
