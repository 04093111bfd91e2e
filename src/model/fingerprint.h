#pragma once

#include <string>

#include "model/lille.h"

namespace lille {

/// Stands for the very weights of a model: 32 hexadecimal digits made of the sizes and constants that enter
/// the computation, and of name, dtype, shape and bytes of every tensor. It does not depend on paths, times,
/// the number of files or block_size, and not on the rotary layout, which belongs to a load. Reads all
/// weights.
std::string fingerprint(const ModelParts& parts);

}  // namespace lille
