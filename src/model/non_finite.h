#pragma once

#include <span>

#include "base/thread_pool.h"
#include "lille/model.h"
#include "model/parameters.h"

namespace lille {

/// Warns of every tensor that has a NaN or an infinity in it, or, if it is stored in blocks, in a scale or a
/// minimum of one, by name; looks at none without a callback.
void warn_of_non_finite(ThreadPool& pool, std::span<const Parameter> parameters,
                        const WarningCallback& on_warning);

}  // namespace lille
