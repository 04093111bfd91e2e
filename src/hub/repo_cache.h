#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub_name.h"

namespace lille {

/// The folder of one model in the cache, `models--OWNER--NAME`, laid out as Python's huggingface_hub does:
/// `blobs/ETAG` is content, `snapshots/COMMIT/FILE` a relative link to it, `refs/REVISION` says which commit
/// a branch or tag was, an empty `.no_exist/COMMIT/FILE` says that the commit has no such file. Reads and
/// writes the disk, never the network.
class RepoCache {
 public:
  /// @throws Error(kInvalidArgument) if `root` is empty.
  RepoCache(const std::filesystem::path& root, HubName name);

  const HubName& name() const noexcept { return name_; }

  /// The commit of name().revision: itself, or what the ref says.
  std::optional<std::string> commit() const;
  std::filesystem::path snapshot(std::string_view commit) const;

  /// Whether the snapshot has the file, content included.
  bool has(std::string_view commit, std::string_view file) const;
  /// What of a snapshot a model is loaded from: the file that name() names; else the folder, or, if the
  /// commit is known to have no config.json or no weights beside it, the only GGUF file. (A GGUF file that is
  /// there alone may have been asked for by its name.)
  std::filesystem::path model(std::string_view commit) const;
  /// The names of the GGUF files that a snapshot has, sorted.
  std::vector<std::string> gguf_files(std::string_view commit) const;
  /// Whether it has what a model cannot be loaded without: the GGUF file, or config.json and every weight
  /// file.
  bool is_usable(std::string_view commit) const;
  /// Whether in addition each of kSideFiles is there or known not to exist, so that nothing is to be asked.
  bool is_complete(std::string_view commit) const;

  std::filesystem::path blob(std::string_view etag) const;
  std::filesystem::path incomplete_blob(std::string_view etag) const;
  /// Whether the blob is there with this size.
  bool has_blob(std::string_view etag, int64_t n_bytes) const;
  /// How much of a blob of n_bytes is still to come: nothing if it is there, else what its incomplete file
  /// lacks.
  int64_t n_bytes_to_come(std::string_view etag, int64_t n_bytes) const;
  /// The file that whoever writes the blob locks.
  std::filesystem::path lock(std::string_view etag) const;
  /// The file on which whoever downloads several files has a shared lock, from the first to the last, and
  /// whoever removes some an exclusive one.
  std::filesystem::path repo_lock() const;

  /// Makes the folders that a download writes to. @throws Error(kIo)
  void make_folders(std::string_view commit) const;
  /// Gives a blob its name in a snapshot, in place of a link that is there; the caller holds the blob's lock.
  /// @throws Error(kIo)
  void link(std::string_view commit, std::string_view file, std::string_view etag) const;
  /// Remembers that name().revision is this commit. @throws Error(kIo)
  void write_ref(std::string_view commit) const;
  /// Remembers that the commit has no such file; where that cannot be written, it is asked for again.
  void remember_missing(std::string_view commit, std::string_view file) const;

 private:
  bool is_known_missing(std::string_view commit, std::string_view file) const;

  std::filesystem::path root_;
  HubName name_;
  std::string folder_name_;
};

/// The name of RepoCache::repo_lock, which no blob's lock has.
inline constexpr const char* kRepoLockFile = ".repository.lock";

/// "models--owner--name"
std::string repo_folder_name(std::string_view owner, std::string_view name);

/// The commit that a ref file holds, or nothing if it cannot be read or holds something else.
std::optional<std::string> read_ref(const std::filesystem::path& file);

}  // namespace lille
