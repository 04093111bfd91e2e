#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"
#include "io/tensor_view.h"

namespace lille {

/// One .safetensors file, mapped. Everything in its header is checked before it is used: sizes, dtypes,
/// names, and that the tensors fill the data without holes or overlaps. Source: huggingface/safetensors,
/// README "Format".
class SafetensorsFile {
 public:
  /// Reads the header only: the data stay on the disk until somebody looks at them.
  /// @throws Error(kNotFound | kIo), Error(kCorruptFile) that names the file, the tensor and the fault.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of their data.
  std::span<const TensorView> tensors() const noexcept { return tensors_; }

  /// @throws Error(kNotFound) if there is no such tensor.
  const TensorView& at(std::string_view name) const;
  bool contains(std::string_view name) const noexcept;
  /// The tensor, or nullptr; a lookup costs the logarithm of the number of tensors.
  const TensorView* find(std::string_view name) const noexcept;

  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const std::filesystem::path& path() const noexcept { return file_.path(); }

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::vector<std::size_t> by_name_;  ///< Indices into tensors_, sorted by name.
  std::map<std::string, std::string> metadata_;
};

/// The weights of a folder in one file, and the list of files they are cut into.
inline constexpr const char* kWeightFile = "model.safetensors";
inline constexpr const char* kWeightIndexFile = "model.safetensors.index.json";

/// The names of the files that hold a folder's weights, sorted, whether they are there or not: those that its
/// index names, or model.safetensors.
/// @throws Error(kCorruptFile) for an index that is malformed or names a file outside the folder.
std::vector<std::string> weight_file_names(const std::filesystem::path& folder);

/// The tensors of a checkpoint folder: `model.safetensors.index.json` with its shards where it is there and
/// names more than model.safetensors, otherwise `model.safetensors`. Shards may be symbolic links, as in a
/// download cache.
class Checkpoint {
 public:
  /// @throws Error as SafetensorsFile; for an index that is malformed, names a shard that is missing or
  ///   outside the folder, or disagrees with a shard's content; Error(kNotFound) if the folder has neither
  ///   file.
  explicit Checkpoint(const std::filesystem::path& folder);

  /// All tensors of all shards.
  std::span<const TensorView> tensors() const noexcept { return tensors_; }

  /// The mapped files, in the order in which they were opened.
  std::span<const SafetensorsFile> files() const noexcept { return files_; }

 private:
  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> tensors_;
};

/// What save_safetensors writes for one tensor.
struct TensorToSave {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  ///< Row-major, little-endian; exactly as many as dtype and shape say.
};

/// Writes a .safetensors file with a header padded to 8 bytes, the data in the order given; the file appears
/// whole or not at all.
/// @throws Error(kInvalidArgument) for a name that is taken, reserved or no UTF-8, or a size that contradicts
///   the shape;
///   Error(kIo | kNotFound) if it cannot be written.
void save_safetensors(const std::filesystem::path& path, std::span<const TensorToSave> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace lille
