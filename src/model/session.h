#pragma once

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
  Workspace workspace;
};

/// Session::forward, with the layout that `state` names: measuring a layout runs the same pass as everything
/// else.
Logits forward_pass(const ModelParts& parts, SessionState& state, std::span<const BatchItem> batch,
                    const ForwardOptions& options);

}  // namespace lille
