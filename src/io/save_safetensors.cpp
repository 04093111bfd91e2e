#include <optional>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/json.h"
#include "io/safetensors_writer.h"

namespace lille {
namespace {

constexpr std::string_view kSaveSafetensors = "save_safetensors";
/// The tensors begin at a multiple of this: a vector that lies in two lines of the cache is read twice (a
/// tenth of the rate of 4-bit codes).
constexpr std::size_t kDataAlignment = 64;

/// The size that dtype and shape say; nothing if they say none.
std::optional<uint64_t> bytes_of(const TensorToSave& tensor) noexcept {
  int64_t n_bytes = dtype_bytes(tensor.dtype);
  for (const int64_t extent : tensor.shape)
    if (extent < 0 || __builtin_mul_overflow(n_bytes, extent, &n_bytes)) return std::nullopt;
  return static_cast<uint64_t>(n_bytes);
}

void check_size(const TensorToSave& tensor, std::size_t n_bytes) {
  if (bytes_of(tensor) != n_bytes)
    raise(ErrorCode::kInvalidArgument,
          "[{}] tensor \"{}\": expected the bytes of {} of {}, got {}. Hint: do shape and data belong "
          "together?",
          kSaveSafetensors, printable(tensor.name), shape_text(tensor.shape), dtype_name(tensor.dtype),
          n_bytes);
}

void check_names(std::span<const TensorToSave> tensors, const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  for (const TensorToSave& tensor : tensors) {
    const std::string name = printable(tensor.name);
    if (!is_valid_utf8(tensor.name))
      raise(ErrorCode::kInvalidArgument, "[{}] tensor \"{}\": expected a name in UTF-8. Hint: rename it",
            kSaveSafetensors, name);
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      raise(ErrorCode::kInvalidArgument,
            "[{}] tensor \"{}\": expected a name that is not {}. Hint: rename it", kSaveSafetensors, name,
            tensor.name == "__metadata__" ? "reserved" : "taken by another tensor");
  }
  for (const auto& [key, value] : metadata)
    if (!is_valid_utf8(key) || !is_valid_utf8(value))
      raise(ErrorCode::kInvalidArgument, "[{}] metadata \"{}\": expected UTF-8. Hint: leave it out",
            kSaveSafetensors, printable(key));
}

std::string header_text(std::span<const TensorToSave> tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorToSave& tensor : tensors) {
    const std::optional<uint64_t> n_bytes = bytes_of(tensor);
    uint64_t end = 0;
    if (!n_bytes || __builtin_add_overflow(offset, *n_bytes, &end))
      raise(ErrorCode::kInvalidArgument,
            "[{}] tensor \"{}\": expected a shape whose bytes can be counted, got {}. Hint: is it damaged?",
            kSaveSafetensors, printable(tensor.name), shape_text(tensor.shape));
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  const std::size_t n_before = sizeof(uint64_t) + text.size();
  text.append((kDataAlignment - n_before % kDataAlignment) % kDataAlignment, ' ');
  return text;
}

std::vector<TensorToSave> checked(std::vector<TensorToSave> tensors,
                                  const std::map<std::string, std::string>& metadata) {
  check_names(tensors, metadata);
  return tensors;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorToSave> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : tensors_(checked(std::move(tensors), metadata)), file_(path) {
  const std::string header = header_text(tensors_, metadata);
  const uint64_t header_bytes = header.size();
  file_.write(std::as_bytes(std::span(&header_bytes, 1)));
  file_.write(header);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  LILLE_CHECK(n_written_ < tensors_.size());
  check_size(tensors_[n_written_], bytes.size());
  file_.write(bytes);
  ++n_written_;
}

void SafetensorsWriter::commit() {
  LILLE_CHECK(n_written_ == tensors_.size());
  file_.commit();
}

void save_safetensors(const std::filesystem::path& path, std::span<const TensorToSave> tensors,
                      const std::map<std::string, std::string>& metadata) {
  for (const TensorToSave& tensor : tensors) check_size(tensor, tensor.bytes.size());
  SafetensorsWriter writer(path, {tensors.begin(), tensors.end()}, metadata);
  for (const TensorToSave& tensor : tensors) writer.write(tensor.bytes);
  writer.commit();
}

}  // namespace lille
