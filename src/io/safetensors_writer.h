#pragma once

#include <map>
#include <vector>

#include "base/file.h"
#include "io/safetensors.h"

namespace lille {

/// Writes the file of save_safetensors tensor by tensor, so that only one need be in memory at a time.
class SafetensorsWriter {
 public:
  /// @param tensors  what will be written, in this order; their `bytes` are not looked at.
  /// @throws Error as save_safetensors, sizes of bytes aside.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorToSave> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  /// The bytes of the next tensor.
  /// @throws Error(kInvalidArgument) for a size that contradicts dtype and shape; Error(kIo).
  void write(std::span<const std::byte> bytes);

  /// Gives the file its name, when every tensor is written. @throws Error(kIo)
  void commit();

 private:
  std::vector<TensorToSave> tensors_;
  std::size_t n_written_ = 0;
  AtomicFile file_;
};

}  // namespace lille
