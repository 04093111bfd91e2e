#include "io/zip_directory.h"

#include <algorithm>

#include "base/check.h"
#include "base/dtype.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocatorSignature = 0x07064b50;
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kEntryBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocatorBytes = 20;
constexpr uint16_t kExtra64 = 1;
constexpr uint16_t kAll16 = 0xffff;
constexpr uint32_t kAll32 = 0xffffffff;
/// Far above the thousand members of a checkpoint with its optimizer.
constexpr uint64_t kMaxEntries = 1 << 20;
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;
/// A match of 258 bytes takes at least two bits.
constexpr uint64_t kMaxDeflateRatio = 1032;

enum Flag : uint16_t {
  kEncrypted = 1 << 0,
  kSizesFollow = 1 << 3,
  kPatch = 1 << 5,
  kStronglyEncrypted = 1 << 6,
  kMaskedHeader = 1 << 13,
};

/// A record of the file whose bytes are all there.
class Record {
 public:
  explicit Record(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint16_t u16(std::size_t offset) const { return load_unaligned<uint16_t>(bytes_.data() + offset); }
  uint32_t u32(std::size_t offset) const { return load_unaligned<uint32_t>(bytes_.data() + offset); }
  uint64_t u64(std::size_t offset) const { return load_unaligned<uint64_t>(bytes_.data() + offset); }

 private:
  std::span<const std::byte> bytes_;
};

/// Where the directory lies.
struct Directory {
  uint64_t offset = 0;
  uint64_t n_bytes = 0;
  uint64_t n_entries = 0;
};

/// What the directory says of a member.
struct Header {
  std::string_view name;
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t n_packed = 0;
  uint64_t n_bytes = 0;
  uint64_t offset = 0;
};

/// Absolute names, drive letters and steps upward lead out of an archive.
bool is_plain_member_name(std::string_view name) {
  if (name.empty() || name.find_first_of(std::string_view("\\:\0", 3)) != name.npos) return false;
  while (!name.empty()) {
    const std::size_t slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    name.remove_prefix(std::min(slash + 1, name.size()));
  }
  return true;
}

class DirectoryReader {
 public:
  DirectoryReader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::vector<ZipEntry> read() {
    directory_ = find_directory();
    std::vector<ZipEntry> entries;
    entries.reserve(static_cast<std::size_t>(directory_.n_entries));
    pos_ = directory_.offset;
    for (uint64_t entry_idx = 0; entry_idx < directory_.n_entries; ++entry_idx)
      entries.push_back(read_entry(read_header()));
    if (pos_ != directory_.offset + directory_.n_bytes)
      fail(fmt::format("expected a directory of {} bytes for {} members, got one of {}", directory_.n_bytes,
                       directory_.n_entries, pos_ - directory_.offset));
    return entries;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    raise(ErrorCode::kCorruptFile, "[zip] {}: {}. Hint: is the file whole?", file_, what);
  }
  [[noreturn]] void fail(std::string_view member, std::string_view what) const {
    raise(ErrorCode::kCorruptFile, "[zip] {}: \"{}\": {}. Hint: is the file damaged?", file_,
          printable(member), what);
  }
  [[noreturn]] void refuse(std::string_view member, std::string_view what) const {
    raise(ErrorCode::kUnsupported, "[zip] {}: \"{}\": {}. Hint: write it again, stored or deflated", file_,
          printable(member), what);
  }
  [[noreturn]] void refuse_disks() const {
    raise(ErrorCode::kUnsupported,
          "[zip] {}: expected an archive in one file, got a part of several. Hint: join its parts first",
          file_);
  }

  Record record(uint64_t offset) const { return Record(bytes_.subspan(static_cast<std::size_t>(offset))); }
  std::string_view text(uint64_t offset, uint64_t n_bytes) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, static_cast<std::size_t>(n_bytes)};
  }

  uint64_t find_end() const;
  Directory find_directory() const;
  Directory read_end64(uint64_t locator_offset, const Record& end) const;
  Header read_header();
  void read_extra(Header& header, uint64_t offset, uint64_t n_extra) const;
  void check_header(const Header& header) const;
  ZipEntry read_entry(const Header& header) const;

  std::span<const std::byte> bytes_;
  const std::string& file_;
  Directory directory_;
  uint64_t pos_ = 0;
};

/// The last record whose comment ends where the file ends.
uint64_t DirectoryReader::find_end() const {
  if (bytes_.size() < kEndBytes) fail(fmt::format("expected a zip file, got {} bytes", bytes_.size()));
  const uint64_t last = bytes_.size() - kEndBytes;
  const uint64_t first = last - std::min<uint64_t>(last, kAll16);
  for (uint64_t offset = last + 1; offset-- > first;)
    if (record(offset).u32(0) == kEndSignature &&
        offset + kEndBytes + record(offset).u16(20) == bytes_.size())
      return offset;
  fail("expected a zip file with its directory at the end, got none");
}

Directory DirectoryReader::find_directory() const {
  const uint64_t end_offset = find_end();
  const Record end = record(end_offset);
  Directory directory = {end.u32(16), end.u32(12), end.u16(10)};
  uint64_t limit = end_offset;
  if (end_offset >= kLocatorBytes && record(end_offset - kLocatorBytes).u32(0) == kLocatorSignature) {
    const Record locator = record(end_offset - kLocatorBytes);
    directory = read_end64(end_offset - kLocatorBytes, end);
    limit = locator.u64(8);
  } else if (end.u16(4) != 0 || end.u16(6) != 0 || end.u16(8) != end.u16(10)) {
    refuse_disks();
  }
  if (directory.offset > limit || directory.n_bytes > limit - directory.offset)
    fail(fmt::format("expected a directory before offset {}, got {} bytes at offset {}", limit,
                     directory.n_bytes, directory.offset));
  if (directory.n_entries > kMaxEntries || directory.n_entries > directory.n_bytes / kEntryBytes)
    fail(fmt::format("expected at most {} members in a directory of {} bytes, got {}",
                     std::min(kMaxEntries, directory.n_bytes / kEntryBytes), directory.n_bytes,
                     directory.n_entries));
  return directory;
}

// The fields of the old record hold the same, or all ones where they are too narrow.
Directory DirectoryReader::read_end64(uint64_t locator_offset, const Record& end) const {
  const Record locator = record(locator_offset);
  if (locator.u32(4) != 0 || locator.u32(16) > 1) refuse_disks();
  const uint64_t offset = locator.u64(8);
  if (offset > locator_offset || locator_offset - offset < kEnd64Bytes ||
      record(offset).u32(0) != kEnd64Signature)
    fail(fmt::format("expected the Zip64 end of the directory at offset {}, got something else", offset));
  const Record end64 = record(offset);
  if (end64.u32(16) != 0 || end64.u32(20) != 0 || end64.u64(24) != end64.u64(32)) refuse_disks();
  const Directory directory = {end64.u64(48), end64.u64(40), end64.u64(32)};
  const auto agree = [](uint64_t narrow, uint64_t all_ones, uint64_t wide) {
    return narrow == all_ones || narrow == wide;
  };
  if (!agree(end.u16(10), kAll16, directory.n_entries) || !agree(end.u32(12), kAll32, directory.n_bytes) ||
      !agree(end.u32(16), kAll32, directory.offset))
    fail("expected both ends of the directory to say the same, got two that differ");
  return directory;
}

Header DirectoryReader::read_header() {
  const uint64_t end = directory_.offset + directory_.n_bytes;
  if (end - pos_ < kEntryBytes || record(pos_).u32(0) != kEntrySignature)
    fail(fmt::format("expected the header of a member at offset {}, got something else", pos_));
  const Record fields = record(pos_);
  const uint64_t n_name = fields.u16(28);
  const uint64_t n_extra = fields.u16(30);
  const uint64_t n_header = kEntryBytes + n_name + n_extra + fields.u16(32);
  if (n_header > end - pos_)
    fail(fmt::format("expected the header of a member at offset {} to end in the directory, got {} bytes",
                     pos_, n_header));
  Header header = {.name = text(pos_ + kEntryBytes, n_name),
                   .flags = fields.u16(8),
                   .method = fields.u16(10),
                   .crc = fields.u32(16),
                   .n_packed = fields.u32(20),
                   .n_bytes = fields.u32(24),
                   .offset = fields.u32(42)};
  read_extra(header, pos_ + kEntryBytes + n_name, n_extra);
  if (fields.u16(34) != 0 && fields.u16(34) != kAll16) refuse_disks();
  pos_ += n_header;
  return header;
}

/// Takes the sizes that do not fit in 32 bits from the Zip64 part of the extra field.
void DirectoryReader::read_extra(Header& header, uint64_t offset, uint64_t n_extra) const {
  const uint64_t end = offset + n_extra;
  bool is_read = false;
  while (end - offset >= 4) {
    const uint16_t id = record(offset).u16(0);
    const uint64_t n_bytes = record(offset).u16(2);
    offset += 4;
    if (n_bytes > end - offset) fail(header.name, "expected an extra field that ends in its header");
    const uint64_t part_end = offset + n_bytes;
    if (id == kExtra64) {
      if (is_read) fail(header.name, "expected one Zip64 field, got two");
      is_read = true;
      uint64_t pos = offset;
      for (uint64_t* value : {&header.n_bytes, &header.n_packed, &header.offset}) {
        if (*value != kAll32) continue;
        if (part_end - pos < 8) fail(header.name, "expected sizes in its Zip64 field, got a field too short");
        *value = record(pos).u64(0);
        pos += 8;
      }
    }
    offset = part_end;
  }
}

void DirectoryReader::check_header(const Header& header) const {
  if (!is_plain_member_name(header.name))
    fail(header.name, "expected a name inside the archive, without .., drives and backslashes");
  if ((header.flags & (kEncrypted | kStronglyEncrypted | kMaskedHeader)) != 0)
    refuse(header.name, "expected no encryption, got an encrypted member");
  if ((header.flags & kPatch) != 0) refuse(header.name, "expected whole data, got a patch");
  if (header.method != kStored && header.method != kDeflated)
    refuse(header.name, fmt::format("expected stored or deflated data, got method {}", header.method));
  if (header.method == kStored && header.n_bytes != header.n_packed)
    fail(header.name, fmt::format("expected {} stored bytes for {} bytes", header.n_bytes, header.n_packed));
  if (header.method == kDeflated && header.n_bytes / kMaxDeflateRatio > header.n_packed)
    fail(header.name, fmt::format("expected at most {} times its {} deflated bytes, got {} bytes",
                                  kMaxDeflateRatio, header.n_packed, header.n_bytes));
}

ZipEntry DirectoryReader::read_entry(const Header& header) const {
  check_header(header);
  if (header.offset > directory_.offset || directory_.offset - header.offset < kLocalBytes ||
      record(header.offset).u32(0) != kLocalSignature)
    fail(header.name,
         fmt::format("expected its local header at offset {}, got something else", header.offset));
  const Record local = record(header.offset);
  const uint64_t n_name = local.u16(26);
  const uint64_t data_offset = header.offset + kLocalBytes + n_name + local.u16(28);
  if (data_offset > directory_.offset || header.n_packed > directory_.offset - data_offset)
    fail(header.name,
         fmt::format("expected {} bytes before the directory at offset {}, got them at offset {}",
                     header.n_packed, directory_.offset, data_offset));
  const auto agree = [](uint64_t narrow, uint64_t wide) { return narrow == kAll32 || narrow == wide; };
  const bool same_sizes = (header.flags & kSizesFollow) != 0 ||
                          (local.u32(14) == header.crc && agree(local.u32(18), header.n_packed) &&
                           agree(local.u32(22), header.n_bytes));
  constexpr uint16_t kKept = kEncrypted | kSizesFollow;
  if (text(header.offset + kLocalBytes, n_name) != header.name || local.u16(8) != header.method ||
      (local.u16(6) & kKept) != (header.flags & kKept) || !same_sizes)
    fail(header.name, "expected the same in its local header and in the directory, got two that differ");
  return {.name = std::string(header.name),
          .n_bytes = header.n_bytes,
          .data = bytes_.subspan(static_cast<std::size_t>(data_offset),
                                 static_cast<std::size_t>(header.n_packed)),
          .begin = bytes_.data() + header.offset,
          .is_deflated = header.method == kDeflated,
          .crc = header.crc};
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> bytes, const std::string& file) {
  return DirectoryReader(bytes, file).read();
}

}  // namespace lille
