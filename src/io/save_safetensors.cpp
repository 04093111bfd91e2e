#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace lille {
namespace {

constexpr std::string_view kAction = "save_safetensors";
constexpr std::size_t kHeaderAlignment = 8;

void check_tensor(const TensorToSave& tensor, std::set<std::string_view>& names) {
  const std::string name = printable(tensor.name);
  if (!is_valid_utf8(tensor.name))
    raise(ErrorCode::kInvalidArgument, "[{}] tensor \"{}\": expected a name in UTF-8. Hint: rename it",
          kAction, name);
  if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
    raise(ErrorCode::kInvalidArgument, "[{}] tensor \"{}\": expected a name that is not {}. Hint: rename it",
          kAction, name, tensor.name == "__metadata__" ? "reserved" : "taken by another tensor");
  int64_t n_bytes = dtype_bytes(tensor.dtype);
  bool is_countable = true;
  for (const int64_t extent : tensor.shape)
    is_countable = is_countable && extent >= 0 && !__builtin_mul_overflow(n_bytes, extent, &n_bytes);
  if (!is_countable || static_cast<uint64_t>(n_bytes) != tensor.bytes.size())
    raise(ErrorCode::kInvalidArgument,
          "[{}] tensor \"{}\": expected the bytes of {} of {}, got {}. Hint: do shape and data belong "
          "together?",
          kAction, name, shape_text(tensor.shape), dtype_name(tensor.dtype), tensor.bytes.size());
}

std::string header_text(std::span<const TensorToSave> tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const TensorToSave& tensor : tensors) {
    const std::size_t end = offset + tensor.bytes.size();
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  return text;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, std::span<const TensorToSave> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  for (const TensorToSave& tensor : tensors) check_tensor(tensor, names);
  for (const auto& [key, value] : metadata)
    if (!is_valid_utf8(key) || !is_valid_utf8(value))
      raise(ErrorCode::kInvalidArgument, "[{}] metadata \"{}\": expected UTF-8. Hint: leave it out", kAction,
            printable(key));
  const std::string header = header_text(tensors, metadata);
  const uint64_t header_bytes = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(header);
  for (const TensorToSave& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace lille
