#include "io/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "io/json.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::string_view kLoadSafetensors = "load_safetensors";
constexpr std::string_view kMetadata = "__metadata__";
constexpr uint64_t kLengthBytes = sizeof(uint64_t);
/// The format's own limit.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
/// Far above the two of a weight matrix, so that a message that quotes a shape stays short.
constexpr std::size_t kMaxSafetensorsDimensions = 8;

/// The two parts of a file.
struct Parts {
  std::string_view header;
  std::span<const std::byte> data;
};

Parts split(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < kLengthBytes)
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected at least {} bytes, got {}. Hint: is the download complete?", kLoadSafetensors,
          file, kLengthBytes, bytes.size());
  const auto header_bytes = load_unaligned<uint64_t>(bytes.data());
  if (header_bytes > kMaxHeaderBytes)
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected a header of at most {} bytes, got a length of {}. Hint: is this a .safetensors "
          "file, "
          "not a pointer to one or a page of a web site?",
          kLoadSafetensors, file, kMaxHeaderBytes, header_bytes);
  const auto rest = bytes.subspan(kLengthBytes);
  if (header_bytes > rest.size())
    raise(
        ErrorCode::kCorruptFile,
        "[{}] {}: expected a header of {} bytes, got a file with {} after the length. Hint: is the download "
        "complete?",
        kLoadSafetensors, file, header_bytes, rest.size());
  const auto n_header = static_cast<std::size_t>(header_bytes);
  const std::string_view header(reinterpret_cast<const char*>(rest.data()), n_header);
  if (!header.starts_with('{'))
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected a header that begins with {{, got \"{}\". Hint: is this a .safetensors file?",
          kLoadSafetensors, file, printable(header, 8));
  return Parts{.header = header, .data = rest.subspan(n_header)};
}

/// Reads the entry of one tensor; every fault names the file and the tensor.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& name) : file_(file), name_(name) {}

  TensorView read(const json& entry, std::span<const std::byte> data) const {
    if (!entry.is_object()) fail("an object", describe(entry));
    TensorView tensor;
    tensor.name = name_;
    tensor.file = file_;
    tensor.dtype = read_dtype(field(entry, "dtype"));
    tensor.shape = read_shape(field(entry, "shape"));
    tensor.bytes = read_bytes(field(entry, "data_offsets"), data);
    int64_t n_bytes = dtype_bytes(tensor.dtype);
    for (const int64_t extent : tensor.shape)
      if (__builtin_mul_overflow(n_bytes, extent, &n_bytes))
        fail("a size that fits in 63 bits", fmt::format("the shape {}", shape_text(tensor.shape)));
    if (static_cast<uint64_t>(n_bytes) != tensor.bytes.size())
      fail(fmt::format("{} bytes for {} of {}", n_bytes, shape_text(tensor.shape), dtype_name(tensor.dtype)),
           fmt::format("{}", tensor.bytes.size()));
    return tensor;
  }

 private:
  [[noreturn]] void fail(std::string_view expected, std::string_view found,
                         std::string_view hint = "was the file written by a safetensors library?") const {
    raise(ErrorCode::kCorruptFile, "[{}] {}: tensor \"{}\": expected {}, got {}. Hint: {}", kLoadSafetensors,
          file_, printable(name_), expected, found, hint);
  }

  const json& field(const json& entry, const char* key) const {
    const auto found = entry.find(key);
    if (found == entry.end()) fail(fmt::format("the field {}", key), "none");
    return *found;
  }

  DType read_dtype(const json& value) const {
    const auto dtype =
        value.is_string() ? dtype_from_name(value.get_ref<const std::string&>()) : std::nullopt;
    if (!dtype)
      fail("a dtype such as F32, F16, BF16, U32, U8", describe(value),
           "is it a kind of checkpoint that this version does not read?");
    return *dtype;
  }

  std::vector<int64_t> read_shape(const json& value) const {
    if (!value.is_array()) fail("a shape", describe(value));
    if (value.size() > kMaxSafetensorsDimensions)
      fail(fmt::format("a shape of at most {} dimensions", kMaxSafetensorsDimensions),
           fmt::format("one of {}", value.size()));
    std::vector<int64_t> shape;
    for (const json& extent : value)
      shape.push_back(static_cast<int64_t>(read_unsigned(extent, "a shape of whole numbers from 0")));
    return shape;
  }

  std::span<const std::byte> read_bytes(const json& value, std::span<const std::byte> data) const {
    if (!value.is_array() || value.size() != 2) fail("two data_offsets", describe(value));
    const uint64_t begin = read_unsigned(value[0], "data_offsets of whole numbers from 0");
    const uint64_t end = read_unsigned(value[1], "data_offsets of whole numbers from 0");
    if (begin > end) fail("data_offsets in order", fmt::format("[{}, {}]", begin, end));
    if (end > data.size())
      fail(fmt::format("data_offsets within the {} bytes of data", data.size()),
           fmt::format("[{}, {}]", begin, end), "is the download complete?");
    return data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  }

  uint64_t read_unsigned(const json& value, std::string_view expected) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
      fail(expected, describe(value));
    return value.get<uint64_t>();
  }

  const std::string& file_;
  const std::string& name_;
};

std::map<std::string, std::string> read_metadata(const json& value, const std::string& file) {
  if (!value.is_object())
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected {} to be an object of strings, got {}. Hint: was the file written by a "
          "safetensors library?",
          kLoadSafetensors, file, kMetadata, describe(value));
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: expected {} to hold a string under \"{}\", got {}. Hint: was the file written by a "
            "safetensors "
            "library?",
            kLoadSafetensors, file, kMetadata, printable(key), describe(text));
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

/// The tensors, in the order of their data, must follow each other from the first byte of the data to the
/// last.
void check_contiguous(std::span<const TensorView> tensors, std::span<const std::byte> data,
                      const std::string& file) {
  const std::byte* expected = data.data();
  for (const TensorView& tensor : tensors) {
    if (tensor.bytes.data() != expected)
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: tensor \"{}\": expected its data to begin at offset {}, where the tensor before it "
            "ends, got {}, "
            "which {}. Hint: was the file written by a safetensors library?",
            kLoadSafetensors, file, printable(tensor.name), expected - data.data(),
            tensor.bytes.data() - data.data(),
            tensor.bytes.data() < expected ? "overlaps it" : "leaves a hole");
    expected = tensor.bytes.data() + tensor.bytes.size();
  }
  const auto n_used = static_cast<std::size_t>(expected - data.data());
  if (n_used != data.size())
    raise(ErrorCode::kCorruptFile,
          "[{}] {}: expected {} bytes of data, as the header says, got {}. Hint: was something appended to "
          "the file?",
          kLoadSafetensors, file, n_used, data.size());
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string file = printable_path(path);
  const Parts parts = split(file_.bytes(), file);
  const json header = parse_json_object(parts.header, {.action = kLoadSafetensors, .file = file});
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadata)
      metadata_ = read_metadata(entry, file);
    else
      tensors_.push_back(EntryReader(file, name).read(entry, parts.data));
  }
  std::ranges::sort(tensors_, [](const TensorView& left, const TensorView& right) {
    const auto key = [](const TensorView& tensor) {
      return std::pair(tensor.bytes.data(), tensor.bytes.size());
    };
    return key(left) < key(right);
  });
  check_contiguous(tensors_, parts.data, file);
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::ranges::sort(by_name_, {}, [this](std::size_t idx) -> std::string_view { return tensors_[idx].name; });
}

const TensorView* SafetensorsFile::find(std::string_view name) const noexcept {
  const auto name_of = [this](std::size_t idx) -> std::string_view { return tensors_[idx].name; };
  const auto found = std::ranges::lower_bound(by_name_, name, {}, name_of);
  return found != by_name_.end() && name_of(*found) == name ? &tensors_[*found] : nullptr;
}

bool SafetensorsFile::contains(std::string_view name) const noexcept { return find(name) != nullptr; }

const TensorView& SafetensorsFile::at(std::string_view name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr)
    raise(ErrorCode::kNotFound,
          "[{}] {}: expected a tensor \"{}\", got {} tensors without it. Hint: is this a Lille checkpoint?",
          kLoadSafetensors, printable_path(path()), printable(name), tensors_.size());
  return *tensor;
}

}  // namespace lille
