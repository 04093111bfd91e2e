#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"
#include "io/tensor_view.h"

namespace lille {

/// Types of a metadata value, with the format's numbers.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// An array of metadata; only the field of its elements' type is filled.
struct GgufArray {
  GgufType element_type = GgufType::kU8;
  std::span<const std::byte> numbers;     ///< Little-endian, at any address, for all but the two below.
  std::vector<std::string_view> strings;  ///< For kString: any bytes.
  std::vector<GgufArray> arrays;          ///< For kArray.

  std::size_t size() const noexcept;
};

/// A value of metadata; the alternatives stand in the order of GgufType. Texts and arrays point into the file
/// or, for writing, at what the caller owns.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string_view, GgufArray, uint64_t, int64_t, double>;

/// "a u32", "an array of string", for messages.
std::string describe(const GgufValue& value);

/// One .gguf file of version 2 or 3, little-endian, mapped. Everything that stands before the data is checked
/// before it is used: counts, lengths, types, alignment, names, and that each tensor lies inside the data and
/// overlaps no other. Source: ggml-org/ggml docs/gguf.md.
class GgufFile {
 public:
  /// Reads metadata and tensor entries only: the data stay on the disk until somebody looks at them.
  /// @throws Error(kNotFound | kIo); Error(kCorruptFile) that names the file, the key or tensor and the
  /// fault;
  ///   Error(kUnsupported) for another version, a big-endian file and a type of tensor that is not computed.
  explicit GgufFile(const std::filesystem::path& path);

  /// Whether a file begins as every .gguf file does; false if it cannot be read.
  static bool is_gguf(const std::filesystem::path& path) noexcept;

  /// In the order of their data; shapes are outermost first, so the reverse of the file's.
  std::span<const TensorView> tensors() const noexcept { return tensors_; }
  /// The tensor, or nullptr.
  const TensorView* find(std::string_view name) const noexcept;

  /// By key.
  const std::map<std::string, GgufValue, std::less<>>& metadata() const noexcept { return metadata_; }
  /// The value of a key, or nullptr.
  const GgufValue* value(std::string_view key) const noexcept;

  /// The value of a key as what it must be, or nothing where there is no such key. Any integer type is taken
  /// for a whole number, any float type for a real one.
  /// @throws Error(kCorruptFile) that names file and key if the value is of another type, or below 0.
  std::optional<uint64_t> whole(std::string_view key) const;
  std::optional<double> real(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  /// An array of this type of element, or nullptr.
  const GgufArray* array(std::string_view key, GgufType element_type) const;

  uint32_t version() const noexcept { return version_; }
  const std::filesystem::path& path() const noexcept { return file_.path(); }

 private:
  [[noreturn]] void fail_type(std::string_view key, std::string_view expected, const GgufValue& found) const;

  MappedFile file_;
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string_view, std::size_t> by_name_;  ///< Indices into tensors_.
};

/// What save_gguf writes for one tensor.
struct GgufTensorToSave {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  ///< Outermost first, one to four extents.
  /// Makes the bytes when their turn comes, so that one tensor at a time is in memory.
  std::function<std::vector<std::byte>()> bytes;
};

/// Writes a .gguf file of version 3 with the default alignment, keys and tensors in the order given, so that
/// the same input gives the same bytes; the file appears whole or not at all.
/// @throws Error(kInvalidArgument) for a key or name that stands twice or is too long, a shape that the type
///   cannot hold or a size that contradicts it; Error(kIo | kNotFound) if it cannot be written.
void save_gguf(const std::filesystem::path& path, std::span<const std::pair<std::string, GgufValue>> metadata,
               std::span<const GgufTensorToSave> tensors);

}  // namespace lille
