#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/mapped_file.h"

namespace lille {

/// One member of a zip file.
struct ZipEntry {
  std::string name;                  ///< As in the file: any bytes, so messages quote it with printable.
  uint64_t n_bytes = 0;              ///< Of the content.
  std::span<const std::byte> data;   ///< As it lies in the file: the content itself if it is stored.
  const std::byte* begin = nullptr;  ///< Where the header before the data begins.
  bool is_deflated = false;
  uint32_t crc = 0;  ///< CRC-32 of the content; 0 where the writer computed none.
};

/// A zip file, mapped: its directory is read and checked, its members stay on the disk until somebody asks.
/// Stored and deflated members, and Zip64. What is checked before use: every size and offset; that each
/// member lies before the directory and overlaps no other; that names are relative, without `..`, and stand
/// once; that the local header of a member says what the directory says; that no member claims more than
/// deflate can make, nor all together more than a hundred times the file.
/// Source: PKWARE APPNOTE.TXT 6.3.10.
class ZipFile {
 public:
  /// @throws Error(kCorruptFile) that names the file, the member and the fault; Error(kUnsupported) for
  ///   encryption, several disks and other methods of compression.
  explicit ZipFile(MappedFile file);

  /// In the order of the directory.
  std::span<const ZipEntry> entries() const noexcept { return entries_; }
  /// The member, or nullptr.
  const ZipEntry* find(std::string_view name) const noexcept;
  /// Bytes of all contents together.
  uint64_t total_bytes() const noexcept { return total_bytes_; }
  const std::filesystem::path& path() const noexcept { return file_.path(); }

  /// The content of a member, copied, its CRC compared.
  /// @throws Error(kCorruptFile) if it is larger than max_bytes, or damaged.
  std::string read_text(const ZipEntry& entry, std::size_t max_bytes) const;
  /// The content of a deflated member, its CRC compared.
  /// @throws Error(kCorruptFile) if it is damaged; Error(kOutOfMemory).
  AlignedBuffer<std::byte> inflate(const ZipEntry& entry) const;
  /// Compares the CRC of a member with its content. Who uses `data` of a stored member without a copy skips
  /// this, since it reads every byte.
  /// @throws Error(kCorruptFile) if they differ.
  void check_content(const ZipEntry& entry) const;

 private:
  void check_crc(const ZipEntry& entry, std::span<const std::byte> content) const;

  MappedFile file_;
  std::vector<ZipEntry> entries_;
  std::vector<std::size_t> by_name_;  ///< Indices into entries_, sorted by name.
  uint64_t total_bytes_ = 0;
};

}  // namespace lille
