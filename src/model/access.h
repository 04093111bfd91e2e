#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include "lille/model.h"

namespace lille {

/// The library's own way to what its public classes keep private; no user can do anything with these types.
struct Access {
  using SessionState = Session::State;

  /// The weights and tables behind a handle; they live as long as any copy of it.
  static const ModelParts& parts(const Model& model) noexcept { return *model.parts_; }
  /// What a session owns, up to its end.
  static SessionState& state(Session& session) noexcept { return *session.state_; }
  /// As Model::load, but what it finds of NaN and infinity goes to `on_non_finite`; nothing is looked for if
  /// that is empty.
  static Model load(const std::filesystem::path& path, const LoadOptions& options,
                    const WarningCallback& on_non_finite);
  /// A handle to parts that lie in no file.
  static Model model(std::shared_ptr<const ModelParts> parts) { return Model(std::move(parts)); }
  /// One KVCache for each layer, the first layer first.
  static std::span<KVCache> layers(PromptCache& cache) noexcept;
  static std::span<const KVCache> layers(const PromptCache& cache) noexcept;
  /// Notes which tokens the layers have taken up, and whose pass computed them.
  static void append(PromptCache& cache, std::span<const int32_t> tokens, std::string_view kernels);
  /// Makes every layer, wherever it stands, and the tokens end at `offset`, which is none of the future's.
  static void rewind(PromptCache& cache, int64_t offset) noexcept;
  /// Takes back that the next token was forgotten; its keys and values are still where they were written, as
  /// n_updates() tells.
  static void restore(PromptCache& cache, int32_t token);
  /// How often keys and values were written.
  static uint64_t n_updates(const PromptCache& cache) noexcept;
};

/// What a Session owns.
using SessionState = Access::SessionState;

}  // namespace lille
