#pragma once

#include "base/function_ref.h"
#include "lille.h"

namespace lille::capi {

/// Runs what a function of the C API does; nothing that it throws comes out.
/// @param error  What went wrong, or that nothing did, is written there; may be null.
/// @return LILLE_OK, or what stands for the exception.
lille_status guarded(lille_error* error, FunctionRef<void()> body) noexcept;

}  // namespace lille::capi
