#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lille/defaults.h"
#include "lille/model.h"

namespace lille::python {

/// A model as Python sees it: any number of threads compute with it, each with a session of its own for as
/// long as it computes.
class ModelHandle {
 public:
  /// @throws Error as Session and load_generation_defaults.
  ModelHandle(Model model, SessionOptions options);

  const Model& model() const noexcept { return model_; }
  const ModelArgs& args() const noexcept { return model_.args(); }
  const GenerationDefaults& defaults() const noexcept { return defaults_; }

  /// A session that nobody else has until the last copy of the pointer is gone; then the next one gets it.
  std::shared_ptr<Session> lease() const;

 private:
  struct Pool;

  Model model_;
  GenerationDefaults defaults_;
  std::shared_ptr<Pool> pool_;
};

/// A cache with the same tokens, keys and values, that goes on by itself.
PromptCache copy_cache(const PromptCache& cache);

/// A prompt cache as Python sees it. Two threads that use one at once is an error, not a race.
class CacheHandle {
 public:
  explicit CacheHandle(PromptCache cache) : cache_(std::move(cache)) {}

  /// The cache, for one user at a time.
  class Use {
   public:
    /// @param handle  null: nothing is used.
    /// @throws Error(kInvalidArgument) if somebody else uses the cache.
    explicit Use(std::shared_ptr<CacheHandle> handle);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    /// Null without a handle.
    PromptCache* get() const noexcept { return handle_ ? &handle_->cache_ : nullptr; }
    PromptCache* operator->() const noexcept { return get(); }

   private:
    std::shared_ptr<CacheHandle> handle_;
  };

 private:
  PromptCache cache_;
  std::atomic<bool> is_used_ = false;
};

}  // namespace lille::python
