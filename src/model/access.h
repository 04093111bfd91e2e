#pragma once

#include <span>

#include "lille/model.h"

namespace lille {

/// The library's own way to what its public classes keep private; no user can do anything with these types.
struct Access {
  using SessionState = Session::State;

  /// The weights and tables behind a handle; they live as long as any copy of it.
  static const ModelParts& parts(const Model& model) noexcept { return *model.parts_; }
  /// One KVCache for each layer, the first layer first.
  static std::span<KVCache> layers(PromptCache& cache) noexcept;
  static std::span<const KVCache> layers(const PromptCache& cache) noexcept;
};

/// What a Session owns.
using SessionState = Access::SessionState;

}  // namespace lille
