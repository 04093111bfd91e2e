#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/gguf.h"
#include "io/gguf_types.h"

namespace lille {
namespace {

constexpr std::string_view kSaveGguf = "save_gguf";
constexpr uint32_t kVersion = 3;

uint64_t padded(uint64_t n_bytes) { return (n_bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

template <typename T>
void append(std::string& header, T number) {
  header.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void append_text(std::string& header, std::string_view text) {
  append<uint64_t>(header, text.size());
  header += text;
}

void append_value(std::string& header, const GgufArray& array) {
  append(header, static_cast<uint32_t>(array.element_type));
  append<uint64_t>(header, array.size());
  header.append(reinterpret_cast<const char*>(array.numbers.data()), array.numbers.size());
  for (const std::string_view text : array.strings) append_text(header, text);
  for (const GgufArray& inner : array.arrays) append_value(header, inner);
}

void append_value(std::string& header, const GgufValue& value) {
  std::visit(
      [&header]<typename T>(const T& held) {
        if constexpr (std::is_same_v<T, GgufArray>)
          append_value(header, held);
        else if constexpr (std::is_same_v<T, std::string_view>)
          append_text(header, held);
        else
          append(header, held);
      },
      value);
}

void check_name(std::string_view name, std::string_view what, std::size_t max_bytes,
                std::set<std::string_view>& names) {
  if (name.empty() || name.size() > max_bytes || !is_valid_utf8(name))
    raise(ErrorCode::kInvalidArgument,
          "[{}] {} \"{}\": expected 1 to {} bytes of UTF-8, got {}. Hint: rename it", kSaveGguf, what,
          printable(name), max_bytes, name.size());
  if (!names.insert(name).second)
    raise(ErrorCode::kInvalidArgument, "[{}] {} \"{}\": expected it once, got it twice. Hint: rename one",
          kSaveGguf, what, printable(name));
}

/// Checks what the format asks of a tensor and returns its size.
uint64_t checked_bytes(const GgufTensorToSave& tensor) {
  const int64_t block = dtype_block_elements(tensor.dtype);
  int64_t n_bytes = dtype_bytes(tensor.dtype);
  bool fits = !tensor.shape.empty() && tensor.shape.size() <= kMaxGgufDimensions &&
              ggml_from_dtype(tensor.dtype).has_value() && tensor.shape.back() % block == 0;
  for (std::size_t idx = 0; fits && idx < tensor.shape.size(); ++idx) {
    const int64_t extent = idx + 1 == tensor.shape.size() ? tensor.shape[idx] / block : tensor.shape[idx];
    fits = extent >= 1 && !__builtin_mul_overflow(n_bytes, extent, &n_bytes);
  }
  if (!fits)
    raise(ErrorCode::kInvalidArgument,
          "[{}] tensor \"{}\": expected a type of GGUF and one to {} positive extents, the last a multiple "
          "of {}, got "
          "{} of {}. Hint: choose another type",
          kSaveGguf, printable(tensor.name), kMaxGgufDimensions, block, shape_text(tensor.shape),
          dtype_name(tensor.dtype));
  return static_cast<uint64_t>(n_bytes);
}

std::string header_text(std::span<const std::pair<std::string, GgufValue>> metadata,
                        std::span<const GgufTensorToSave> tensors) {
  std::string header(kGgufMagic);
  append(header, kVersion);
  append<uint64_t>(header, tensors.size());
  append<uint64_t>(header, metadata.size());
  std::set<std::string_view> keys;
  for (const auto& [key, value] : metadata) {
    check_name(key, "key", kMaxGgufKeyBytes, keys);
    append_text(header, key);
    append(header, static_cast<uint32_t>(value.index()));
    append_value(header, value);
  }
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const GgufTensorToSave& tensor : tensors) {
    check_name(tensor.name, "tensor", kMaxGgufNameBytes, names);
    const uint64_t n_bytes = checked_bytes(tensor);
    append_text(header, tensor.name);
    append(header, static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
      append<uint64_t>(header, static_cast<uint64_t>(*extent));
    append(header, *ggml_from_dtype(tensor.dtype));
    append(header, offset);
    if (__builtin_add_overflow(offset, padded(n_bytes), &offset))
      raise(ErrorCode::kInvalidArgument, "[{}] tensor \"{}\": the tensors together exceed 64 bits", kSaveGguf,
            printable(tensor.name));
  }
  header.resize(padded(header.size()), '\0');
  return header;
}

}  // namespace

void save_gguf(const std::filesystem::path& path, std::span<const std::pair<std::string, GgufValue>> metadata,
               std::span<const GgufTensorToSave> tensors) {
  const std::string header = header_text(metadata, tensors);
  AtomicFile file(path);
  file.write(header);
  for (const GgufTensorToSave& tensor : tensors) {
    const std::vector<std::byte> bytes = tensor.bytes();
    const uint64_t n_bytes = checked_bytes(tensor);
    if (bytes.size() != n_bytes)
      raise(ErrorCode::kInvalidArgument, "[{}] tensor \"{}\": expected {} bytes for {} of {}, got {}",
            kSaveGguf, printable(tensor.name), n_bytes, shape_text(tensor.shape), dtype_name(tensor.dtype),
            bytes.size());
    file.write(bytes);
    file.write(std::string(padded(n_bytes) - n_bytes, '\0'));
  }
  file.commit();
}

}  // namespace lille
