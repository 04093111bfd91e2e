#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace lille {

/// A tensor as torch.save describes it: a window onto a storage, in elements.
struct TorchTensor {
  std::string name = {};  ///< The key in the state dict.
  DType dtype = DType::kF32;
  std::string storage = {};  ///< The key of its storage: the member NAME/data/KEY.
  int64_t n_storage = 0;
  int64_t offset = 0;
  std::vector<int64_t> shape = {};    ///< Outermost first; empty for a scalar.
  std::vector<int64_t> strides = {};  ///< As many as the shape has.

  int64_t n_elements() const noexcept;
  /// Whether its elements follow each other in the storage, the last dimension innermost.
  bool is_contiguous() const noexcept;
};

/// What a checkpoint of PyTorch says, without the weights themselves.
struct TorchState {
  std::vector<TorchTensor> tensors;       ///< In the order of the state dict.
  std::optional<std::string> model_args;  ///< As the text of a config.json, if the file has them.
};

/// Reads the data.pkl of a torch.save file. The tensors are those under `model_state_dict`, or all of the
/// outermost dict if that is a state dict itself; nothing else, an optimizer's state for example, is looked
/// at beyond that it is data. The only names a file may import are OrderedDict, the builders of tensors and
/// parameters and torch's classes of storages, and nothing is ever called.
/// @param text    the whole pickle.
/// @param source  the file's name, for messages.
/// @throws Error(kUnsupported) for anything else in the pickle and for tensors that no Lille has;
///   Error(kCorruptFile) for a tensor that does not fit its storage.
/// Source: pytorch torch/serialization.py, torch/_utils.py; Nikityyy/lille train.py.
TorchState read_torch_state(std::string_view text, const std::string& source);

}  // namespace lille
