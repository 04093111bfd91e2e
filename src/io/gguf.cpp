#include "io/gguf.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/gguf_types.h"

namespace lille {
namespace {

constexpr std::string_view kLoadGguf = "load_gguf";
constexpr std::string_view kDownload = "is the download complete?";
constexpr std::string_view kWriter = "was the file written by a GGUF library?";
constexpr int kMaxArrayDepth = 4;
/// Fewest bytes of one entry, so that a count is known to be too large before anything is reserved for it: a
/// key with its length, a type and a value; a name, a number of dimensions, one of them, a type and an
/// offset.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
constexpr uint64_t kMaxAlignment = 65536;

[[noreturn]] void fail(const std::string& file, std::string_view what, std::string_view expected,
                       std::string_view found, std::string_view hint) {
  raise(ErrorCode::kCorruptFile, "[{}] {}: {}: expected {}, got {}. Hint: {}", kLoadGguf, file, what,
        expected, found, hint);
}

/// Reads what stands before the data, field by field; never beyond the end of the file.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::size_t offset() const noexcept { return offset_; }
  std::size_t n_left() const noexcept { return bytes_.size() - offset_; }

  template <typename T>
  T read(std::string_view what) {
    return load_unaligned<T>(take(sizeof(T), what).data());
  }

  std::span<const std::byte> take(uint64_t n_bytes, std::string_view what) {
    if (n_bytes > n_left())
      fail(file_, what, fmt::format("{} bytes at offset {}", n_bytes, offset_),
           fmt::format("{} up to the end of the file", n_left()), kDownload);
    const auto taken = bytes_.subspan(offset_, static_cast<std::size_t>(n_bytes));
    offset_ += taken.size();
    return taken;
  }

  /// A count of things that have at least min_bytes each.
  std::size_t read_count(std::string_view what, uint64_t min_bytes) {
    const auto count = read<uint64_t>(what);
    if (count > n_left() / min_bytes)
      fail(file_, what, fmt::format("at most {}, as many as fit into the file", n_left() / min_bytes),
           fmt::format("{}", count), kDownload);
    return static_cast<std::size_t>(count);
  }

  std::string_view read_text(std::string_view what) {
    const std::size_t n_bytes = read_count(what, 1);
    const auto text = take(n_bytes, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  GgufType read_type(std::string_view what) {
    const auto type = read<uint32_t>(what);
    if (type > static_cast<uint32_t>(GgufType::kF64))
      fail(file_, what, "a type of value from 0 to 12", fmt::format("{}", type), kWriter);
    return static_cast<GgufType>(type);
  }

  GgufValue read_value(GgufType type, std::string_view what) {
    switch (type) {
      case GgufType::kU8:
        return read<uint8_t>(what);
      case GgufType::kI8:
        return read<int8_t>(what);
      case GgufType::kU16:
        return read<uint16_t>(what);
      case GgufType::kI16:
        return read<int16_t>(what);
      case GgufType::kU32:
        return read<uint32_t>(what);
      case GgufType::kI32:
        return read<int32_t>(what);
      case GgufType::kF32:
        return read<float>(what);
      case GgufType::kBool:
        return read_bool(what);
      case GgufType::kString:
        return read_text(what);
      case GgufType::kArray:
        return read_array(what, 1);
      case GgufType::kU64:
        return read<uint64_t>(what);
      case GgufType::kI64:
        return read<int64_t>(what);
      case GgufType::kF64:
        break;
    }
    return read<double>(what);
  }

 private:
  bool read_bool(std::string_view what) {
    const auto byte = read<uint8_t>(what);
    if (byte > 1) fail(file_, what, "a bool of 0 or 1", fmt::format("{}", byte), kWriter);
    return byte == 1;
  }

  GgufArray read_array(std::string_view what, int depth) {
    if (depth > kMaxArrayDepth)
      fail(file_, what, fmt::format("arrays at most {} deep", kMaxArrayDepth), "more", kWriter);
    GgufArray array;
    array.element_type = read_type(what);
    if (array.element_type == GgufType::kString) {
      const std::size_t n_strings = read_count(what, 8);
      array.strings.reserve(n_strings);
      for (std::size_t idx = 0; idx < n_strings; ++idx) array.strings.push_back(read_text(what));
    } else if (array.element_type == GgufType::kArray) {
      const std::size_t n_arrays = read_count(what, 4 + 8);
      for (std::size_t idx = 0; idx < n_arrays; ++idx) array.arrays.push_back(read_array(what, depth + 1));
    } else {
      const std::size_t n_bytes = gguf_scalar_bytes(array.element_type);
      array.numbers = take(read_count(what, n_bytes) * n_bytes, what);
    }
    return array;
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t offset_ = 0;
};

uint32_t read_version(Reader& reader, const std::string& file) {
  const auto magic = reader.take(kGgufMagic.size(), "magic");
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (text != kGgufMagic)
    fail(file, "magic", fmt::format("\"{}\"", kGgufMagic), fmt::format("\"{}\"", printable(text)),
         "is this a GGUF file?");
  const auto version = reader.read<uint32_t>("version");
  // A small number with its bytes reversed has nothing in its lower half.
  if (version != 0 && (version & 0xffff) == 0)
    raise(ErrorCode::kUnsupported,
          "[{}] {}: expected a little-endian file, got a big-endian one of version {}. Hint: llama.cpp's "
          "gguf_convert_endian.py turns it around",
          kLoadGguf, file, __builtin_bswap32(version));
  if (version != 2 && version != 3)
    raise(ErrorCode::kUnsupported, "[{}] {}: version: expected 2 or 3, got {}. Hint: {}", kLoadGguf, file,
          version, version == 1 ? "convert the model again with a newer tool" : kWriter);
  return version;
}

void read_metadata(Reader& reader, std::size_t n_keys,
                   std::map<std::string, GgufValue, std::less<>>& metadata, const std::string& file) {
  for (std::size_t key_idx = 0; key_idx < n_keys; ++key_idx) {
    const std::string_view key = reader.read_text(fmt::format("key {}", key_idx));
    const std::string what = fmt::format("key \"{}\"", printable(key));
    if (key.empty() || key.size() > kMaxGgufKeyBytes || !is_valid_utf8(key))
      fail(file, what, fmt::format("1 to {} bytes of UTF-8", kMaxGgufKeyBytes),
           fmt::format("{} bytes", key.size()), kWriter);
    const GgufType type = reader.read_type(what);
    if (!metadata.emplace(key, reader.read_value(type, what)).second)
      fail(file, what, "every key once", "it twice", kWriter);
  }
}

/// A tensor's entry, its data yet to be found.
struct Entry {
  TensorView tensor;
  uint64_t offset = 0;  ///< From the beginning of the data.
  uint64_t n_bytes = 0;
};

/// Reads the shape and its size in bytes of one entry.
void read_shape(Reader& reader, Entry& entry, std::string_view what, const std::string& file) {
  const auto n_dims = reader.read<uint32_t>(what);
  if (n_dims < 1 || n_dims > kMaxGgufDimensions)
    fail(file, what, fmt::format("1 to {} dimensions", kMaxGgufDimensions), fmt::format("{}", n_dims),
         kWriter);
  std::vector<uint64_t> extents(n_dims);
  for (uint64_t& extent : extents) extent = reader.read<uint64_t>(what);
  const auto ggml_type = reader.read<uint32_t>(what);
  const std::optional<DType> dtype = dtype_from_ggml(ggml_type);
  if (!dtype)
    raise(ErrorCode::kUnsupported,
          "[{}] {}: {}: expected a type that is computed here (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, "
          "Q4_K, Q5_K, Q6_K), got ggml's number {}. Hint: quantise the model to another type",
          kLoadGguf, file, what, ggml_type);
  entry.tensor.dtype = *dtype;
  const auto block = static_cast<uint64_t>(dtype_block_elements(*dtype));
  if (extents.front() % block != 0)
    fail(file, what, fmt::format("rows of a multiple of {} for {}", block, dtype_name(*dtype)),
         fmt::format("{}", extents.front()), kWriter);
  uint64_t n_elements = 1;
  bool is_countable = true;
  for (const uint64_t extent : extents)
    is_countable = is_countable && extent >= 1 && !__builtin_mul_overflow(n_elements, extent, &n_elements);
  // Bounding elements by 2^60 keeps their bytes within 63 bits for every type.
  if (!is_countable || n_elements > uint64_t{1} << 60)
    fail(file, what, "extents from 1 whose product is at most 2^60",
         fmt::format("({})", fmt::join(extents, ", ")), kWriter);
  entry.n_bytes = n_elements / block * static_cast<uint64_t>(dtype_bytes(*dtype));
  entry.tensor.shape.assign(extents.rbegin(), extents.rend());
}

Entry read_entry(Reader& reader, std::size_t tensor_idx, uint64_t alignment, const std::string& file) {
  Entry entry;
  const std::string_view name = reader.read_text(fmt::format("tensor {}", tensor_idx));
  const std::string what = fmt::format("tensor \"{}\"", printable(name));
  if (name.empty() || name.size() > kMaxGgufNameBytes || !is_valid_utf8(name))
    fail(file, what, fmt::format("a name of 1 to {} bytes of UTF-8", kMaxGgufNameBytes),
         fmt::format("{} bytes", name.size()), kWriter);
  entry.tensor.name = name;
  entry.tensor.file = file;
  read_shape(reader, entry, what, file);
  entry.offset = reader.read<uint64_t>(what);
  if (entry.offset % alignment != 0)
    fail(file, what, fmt::format("an offset that is a multiple of the alignment, {}", alignment),
         fmt::format("{}", entry.offset), kWriter);
  return entry;
}

uint64_t read_alignment(const std::map<std::string, GgufValue, std::less<>>& metadata,
                        const std::string& file) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kGgufAlignment;
  const auto* alignment = std::get_if<uint32_t>(&found->second);
  if (alignment == nullptr || *alignment < 8 || *alignment > kMaxAlignment ||
      !std::has_single_bit(*alignment))
    fail(file, "general.alignment", fmt::format("a u32, a power of two from 8 to {}", kMaxAlignment),
         alignment == nullptr ? describe(found->second) : fmt::format("{}", *alignment), kWriter);
  return *alignment;
}

/// Points the tensors into the data, which begin at the next multiple of the alignment.
void place(std::span<Entry> entries, std::span<const std::byte> bytes, std::size_t header_bytes,
           uint64_t alignment, const std::string& file) {
  const uint64_t begin = (uint64_t{header_bytes} + alignment - 1) / alignment * alignment;
  const auto data = bytes.subspan(std::min(static_cast<std::size_t>(begin), bytes.size()));
  std::ranges::sort(entries, {}, &Entry::offset);
  uint64_t end = 0;
  for (Entry& entry : entries) {
    const std::string what = fmt::format("tensor \"{}\"", printable(entry.tensor.name));
    if (entry.offset > data.size() || entry.n_bytes > data.size() - entry.offset)
      fail(file, what,
           fmt::format("{} bytes from offset {} on within the {} bytes of data", entry.n_bytes, entry.offset,
                       data.size()),
           "an end behind that of the file", kDownload);
    if (entry.offset < end)
      fail(file, what, fmt::format("data from offset {} on, where the tensor before it ends", end),
           fmt::format("{}, which overlaps it", entry.offset), kWriter);
    entry.tensor.bytes =
        data.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.n_bytes));
    end = entry.offset + entry.n_bytes;
  }
}

}  // namespace

std::size_t GgufArray::size() const noexcept {
  if (element_type == GgufType::kString) return strings.size();
  if (element_type == GgufType::kArray) return arrays.size();
  return numbers.size() / gguf_scalar_bytes(element_type);
}

std::string describe(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value))
    return fmt::format("an array of {}", gguf_type_name(array->element_type));
  return fmt::format("a value of type {}", gguf_type_name(static_cast<GgufType>(value.index())));
}

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  const std::string file = printable_path(path);
  Reader reader(file_.bytes(), file);
  version_ = read_version(reader, file);
  const std::size_t n_tensors = reader.read_count("number of tensors", kMinTensorBytes);
  const std::size_t n_keys = reader.read_count("number of keys", kMinKeyBytes);
  read_metadata(reader, n_keys, metadata_, file);
  const uint64_t alignment = read_alignment(metadata_, file);
  std::vector<Entry> entries;
  for (std::size_t tensor_idx = 0; tensor_idx < n_tensors; ++tensor_idx)
    entries.push_back(read_entry(reader, tensor_idx, alignment, file));
  place(entries, file_.bytes(), reader.offset(), alignment, file);
  tensors_.reserve(entries.size());
  for (Entry& entry : entries) tensors_.push_back(std::move(entry.tensor));
  for (std::size_t tensor_idx = 0; tensor_idx < tensors_.size(); ++tensor_idx)
    if (!by_name_.emplace(tensors_[tensor_idx].name, tensor_idx).second)
      fail(file, fmt::format("tensor \"{}\"", printable(tensors_[tensor_idx].name)), "every name once",
           "it twice", kWriter);
}

bool GgufFile::is_gguf(const std::filesystem::path& path) noexcept {
  try {
    const MappedFile file(path);
    const auto bytes = file.bytes();
    return bytes.size() >= kGgufMagic.size() &&
           std::equal(kGgufMagic.begin(), kGgufMagic.end(), reinterpret_cast<const char*>(bytes.data()));
  } catch (const std::exception&) {
    return false;
  }
}

const TensorView* GgufFile::find(std::string_view name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const GgufValue* GgufFile::value(std::string_view key) const noexcept {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

void GgufFile::fail_type(std::string_view key, std::string_view expected, const GgufValue& found) const {
  fail(printable_path(path()), printable(key), expected, describe(found), kWriter);
}

std::optional<uint64_t> GgufFile::whole(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  return std::visit(
      [&]<typename T>(const T& number) -> uint64_t {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (std::cmp_less(number, 0))
            fail(printable_path(path()), printable(key), "a whole number from 0", fmt::format("{}", number),
                 kWriter);
          return static_cast<uint64_t>(number);
        } else {
          fail_type(key, "a whole number", *found);
        }
      },
      *found);
}

std::optional<double> GgufFile::real(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<float>(found)) return *number;
  if (const auto* number = std::get_if<double>(found)) return *number;
  fail_type(key, "an f32 or f64", *found);
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* truth = std::get_if<bool>(found)) return *truth;
  fail_type(key, "a bool", *found);
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(found)) return *text;
  fail_type(key, "a string", *found);
}

const GgufArray* GgufFile::array(std::string_view key, GgufType element_type) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(found);
  if (array == nullptr || array->element_type != element_type)
    fail_type(key, fmt::format("an array of {}", gguf_type_name(element_type)), *found);
  return array;
}

}  // namespace lille
