#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "io/tensor_view.h"
#include "io/zip_file.h"
#include "lille/model_args.h"

namespace lille {

/// A checkpoint that torch.save wrote (PyTorch 1.6 and later): `best_model.pt` and `ckpt_final.pt` of Lille's
/// training script, or a bare state dict. The pickle inside is read as data (read_torch_state). Stored
/// tensors are views into the mapped file, and their CRCs are not compared, since that would read all of
/// them; deflated ones are inflated and compared, strided ones are copied. Storages of an optimizer are not
/// looked at.
/// Source: pytorch torch/serialization.py, caffe2/serialize/inline_container.cc.
class TorchFile {
 public:
  /// @throws Error(kNotFound | kIo | kOutOfMemory); Error(kCorruptFile) that names the file, the tensor and
  ///   the fault; Error(kUnsupported) for the form of older versions, for TorchScript, for big-endian data
  ///   and for a pickle that holds more than data.
  explicit TorchFile(const std::filesystem::path& path);

  /// In the order of the state dict. Of any dtype: what a model can use is for its parameter table to say.
  std::span<const TensorView> tensors() const noexcept { return tensors_; }
  /// The file's `model_args`; nothing if it has none.
  /// @throws Error as ModelArgs::from_json.
  std::optional<ModelArgs> model_args() const;
  const std::filesystem::path& path() const noexcept { return zip_.path(); }

  /// Reads every member and compares its CRC.
  /// @throws Error(kCorruptFile) that names the member.
  void check_content() const;

 private:
  ZipFile zip_;
  std::vector<TensorView> tensors_;
  std::vector<AlignedBuffer<std::byte>> buffers_;  ///< What was inflated or gathered.
  std::optional<std::string> model_args_;
};

}  // namespace lille
