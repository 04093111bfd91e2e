#pragma once

#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "lille/model.h"
#include "model/access.h"
#include "model/lille.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace lille {

/// What a Session owns.
struct Session::State {
  State(Model model_handle, RopeLayout layout, const SessionOptions& options);

  Model model;
  RopeLayout rope_layout;
  ThreadPool pool;
  ops::Device device;
  std::string kernels;   ///< Session::kernels
  CacheType cache_type;  ///< Session::cache_type
  Workspace workspace;
};

/// Why a pass cannot follow the first `n_kept` tokens of a cache: it is of another model, was moved from, or
/// other kernels computed these tokens. Empty if it can.
std::string cache_fault(const PromptCache& cache, int64_t n_kept, const ModelParts& parts,
                        std::string_view kernels);

/// What forward_pass runs: the rows of a batch that Session::forward takes, and where each belongs.
Pass make_pass(const ModelParts& parts, SessionState& state, std::span<const BatchItem> batch,
               const ForwardOptions& options);

/// Session::forward, with the layout that `state` names: measuring a layout runs the same pass as everything
/// else.
Logits forward_pass(const ModelParts& parts, SessionState& state, std::span<const BatchItem> batch,
                    const ForwardOptions& options);

}  // namespace lille
