#include "io/zip_file.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "io/zip_directory.h"

namespace lille {
namespace {

/// What all members together may hold: weights deflate to no less than a half, so a hundred times the file
/// is a bomb.
constexpr uint64_t kMaxRatio = 100;
constexpr uint64_t kAlwaysAllowed = uint64_t{64} << 20;

/// zlib's state for one raw deflate stream.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK)
      raise(ErrorCode::kOutOfMemory, "[zip] could not get memory to inflate with");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Whether `packed` is one whole stream that gives exactly `content`.
  bool run(std::span<std::byte> content, std::span<const std::byte> packed) {
    // zlib counts in 32 bits and wants an address even for no bytes.
    constexpr std::size_t kMaxPart = std::numeric_limits<uInt>::max();
    Bytef nothing = 0;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream_.next_out = content.empty() ? &nothing : reinterpret_cast<Bytef*>(content.data());
    std::size_t n_in = packed.size();
    std::size_t n_out = content.size();
    int status = Z_OK;
    while (status == Z_OK) {
      const auto in_part = static_cast<uInt>(std::min(n_in, kMaxPart));
      const auto out_part = static_cast<uInt>(std::min(n_out, kMaxPart));
      stream_.avail_in = in_part;
      stream_.avail_out = out_part;
      status = ::inflate(&stream_, Z_NO_FLUSH);
      n_in -= in_part - stream_.avail_in;
      n_out -= out_part - stream_.avail_out;
    }
    return status == Z_STREAM_END && n_in == 0 && n_out == 0;
  }

 private:
  z_stream stream_{};
};

/// The members' data in the order of the file must follow each other.
void check_overlaps(std::span<const ZipEntry> entries, const std::string& file) {
  std::vector<const ZipEntry*> in_order;
  for (const ZipEntry& entry : entries) in_order.push_back(&entry);
  std::ranges::sort(in_order, {}, [](const ZipEntry* entry) { return entry->begin; });
  for (std::size_t idx = 1; idx < in_order.size(); ++idx) {
    const ZipEntry& earlier = *in_order[idx - 1];
    if (in_order[idx]->begin >= earlier.data.data() + earlier.data.size()) continue;
    raise(
        ErrorCode::kCorruptFile,
        "[zip] {}: \"{}\": expected it to begin after the end of \"{}\", got two members that overlap. Hint: "
        "is the file damaged?",
        file, printable(in_order[idx]->name), printable(earlier.name));
  }
}

}  // namespace

ZipFile::ZipFile(MappedFile file) : file_(std::move(file)) {
  const std::string name = printable_path(path());
  entries_ = read_zip_directory(file_.bytes(), name);
  check_overlaps(entries_, name);
  by_name_.resize(entries_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  const auto name_of = [this](std::size_t idx) -> std::string_view { return entries_[idx].name; };
  std::ranges::sort(by_name_, {}, name_of);
  const auto twice = std::ranges::adjacent_find(by_name_, {}, name_of);
  if (twice != by_name_.end())
    raise(ErrorCode::kCorruptFile,
          "[zip] {}: \"{}\": expected each name once, got it twice. Hint: write the "
          "archive again",
          name, printable(name_of(*twice)));
  const uint64_t limit = kAlwaysAllowed + kMaxRatio * file_.bytes().size();
  for (const ZipEntry& entry : entries_) {
    if (entry.n_bytes > limit - total_bytes_)
      raise(ErrorCode::kCorruptFile,
            "[zip] {}: expected members of at most {} bytes in a file of {}, got more with \"{}\". Hint: no "
            "weights can be compressed like this",
            name, limit, file_.bytes().size(), printable(entry.name));
    total_bytes_ += entry.n_bytes;
  }
}

const ZipEntry* ZipFile::find(std::string_view name) const noexcept {
  const auto name_of = [this](std::size_t idx) -> std::string_view { return entries_[idx].name; };
  const auto found = std::ranges::lower_bound(by_name_, name, {}, name_of);
  return found != by_name_.end() && name_of(*found) == name ? &entries_[*found] : nullptr;
}

std::string ZipFile::read_text(const ZipEntry& entry, std::size_t max_bytes) const {
  if (entry.n_bytes > max_bytes)
    raise(ErrorCode::kCorruptFile,
          "[zip] {}: \"{}\": expected at most {} bytes, got {}. Hint: is this the "
          "right file?",
          printable_path(path()), printable(entry.name), max_bytes, entry.n_bytes);
  const auto copy = [](std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  if (entry.is_deflated) return copy(inflate(entry).span());
  check_crc(entry, entry.data);
  return copy(entry.data);
}

AlignedBuffer<std::byte> ZipFile::inflate(const ZipEntry& entry) const {
  AlignedBuffer<std::byte> content(static_cast<std::size_t>(entry.n_bytes));
  if (!Inflater().run(content.span(), entry.data))
    raise(ErrorCode::kCorruptFile,
          "[zip] {}: \"{}\": expected deflated data of {} bytes, got a stream that is broken or has another "
          "length. Hint: is the file damaged?",
          printable_path(path()), printable(entry.name), entry.n_bytes);
  check_crc(entry, content.span());
  return content;
}

void ZipFile::check_content(const ZipEntry& entry) const {
  if (entry.is_deflated)
    inflate(entry);
  else
    check_crc(entry, entry.data);
}

// PyTorch writes zeros where it was told to compute none (torch.serialization.set_crc32_options).
void ZipFile::check_crc(const ZipEntry& entry, std::span<const std::byte> content) const {
  if (entry.crc == 0) return;
  const auto crc = static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<z_size_t>(content.size())));
  if (crc == entry.crc) return;
  raise(ErrorCode::kCorruptFile,
        "[zip] {}: \"{}\": expected the checksum {:08x}, got {:08x}. Hint: is the file damaged?",
        printable_path(path()), printable(entry.name), entry.crc, crc);
}

}  // namespace lille
