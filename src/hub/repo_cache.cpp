#include "hub/repo_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/model_files.h"
#include "io/folder_files.h"
#include "io/safetensors.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRefBytes = 1000;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// Bytes of a file; -1 if there is none.
int64_t file_bytes(const fs::path& path) {
  std::error_code failed;
  const auto n_bytes = fs::file_size(path, failed);
  return failed ? -1 : static_cast<int64_t>(n_bytes);
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& failure) {
  raise(ErrorCode::kIo, "[hub] {}: {}. Hint: may this user write there? HF_HUB_CACHE names another folder",
        printable_path(path), failure.message());
}

void make_folder(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) fail(path, failed);
}

/// The weight files of a snapshot, or none if its index cannot be read.
std::vector<std::string> weights_of(const fs::path& snapshot) {
  try {
    return weight_file_names(snapshot);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::string repo_folder_name(std::string_view owner, std::string_view name) {
  return fmt::format("models--{}--{}", owner, name);
}

std::optional<std::string> read_ref(const fs::path& file) {
  if (!is_file(file)) return std::nullopt;
  std::string text;
  try {
    text = read_text_file(file, kMaxRefBytes);
  } catch (const Error&) {
    return std::nullopt;
  }
  text.erase(text.find_last_not_of(" \r\n") + 1);
  if (!is_commit(text)) return std::nullopt;
  return text;
}

RepoCache::RepoCache(const fs::path& root, HubName name)
    : root_(root), name_(std::move(name)), folder_name_(repo_folder_name(name_.owner, name_.name)) {
  if (root_.empty())
    raise(ErrorCode::kInvalidArgument,
          "[hub] {}: expected a folder to keep downloads in, got none. Hint: set HOME or HF_HOME",
          name_.text());
}

std::optional<std::string> RepoCache::commit() const {
  if (is_commit(name_.revision)) return name_.revision;
  return read_ref(root_ / folder_name_ / "refs" / name_.revision);
}

fs::path RepoCache::snapshot(std::string_view commit) const {
  return root_ / folder_name_ / "snapshots" / commit;
}

bool RepoCache::has(std::string_view commit, std::string_view file) const {
  return is_file(snapshot(commit) / file);
}

fs::path RepoCache::model(std::string_view commit) const {
  const fs::path folder = snapshot(commit);
  if (!name_.file.empty()) return folder / name_.file;
  const bool is_no_folder =
      is_known_missing(commit, kConfigFile) ||
      (is_known_missing(commit, kWeightFile) && is_known_missing(commit, kWeightIndexFile));
  if (!is_no_folder) return folder;
  const std::vector<std::string> files = gguf_files(commit);
  return files.size() == 1 ? folder / files.front() : folder;
}

std::vector<std::string> RepoCache::gguf_files(std::string_view commit) const {
  std::vector<std::string> files;
  std::error_code failed;
  for (fs::directory_iterator entry(snapshot(commit), failed), end; !failed && entry != end;
       entry.increment(failed))
    if (std::string name = entry->path().filename().string(); is_gguf_name(name) && has(commit, name))
      files.push_back(std::move(name));
  std::ranges::sort(files);
  return files;
}

bool RepoCache::is_usable(std::string_view commit) const {
  if (is_file(model(commit))) return true;
  if (!has(commit, kConfigFile)) return false;
  const std::vector<std::string> weights = weights_of(snapshot(commit));
  return !weights.empty() &&
         std::ranges::all_of(weights, [&](const auto& file) { return has(commit, file); });
}

bool RepoCache::is_complete(std::string_view commit) const {
  if (!name_.file.empty()) return is_usable(commit);
  const auto is_settled = [&](std::string_view file) {
    return has(commit, file) || is_known_missing(commit, file);
  };
  return is_usable(commit) && std::ranges::all_of(kSideFiles, is_settled) && is_settled(kWeightIndexFile);
}

fs::path RepoCache::blob(std::string_view etag) const { return root_ / folder_name_ / "blobs" / etag; }

fs::path RepoCache::incomplete_blob(std::string_view etag) const {
  return blob(fmt::format("{}.incomplete", etag));
}

bool RepoCache::has_blob(std::string_view etag, int64_t n_bytes) const {
  return file_bytes(blob(etag)) == n_bytes;
}

int64_t RepoCache::n_bytes_to_come(std::string_view etag, int64_t n_bytes) const {
  const int64_t n_kept = std::clamp<int64_t>(file_bytes(incomplete_blob(etag)), 0, n_bytes);
  return has_blob(etag, n_bytes) ? 0 : n_bytes - n_kept;
}

fs::path RepoCache::lock(std::string_view etag) const {
  return root_ / ".locks" / folder_name_ / fmt::format("{}.lock", etag);
}

fs::path RepoCache::repo_lock() const { return root_ / ".locks" / folder_name_ / kRepoLockFile; }

bool RepoCache::is_known_missing(std::string_view commit, std::string_view file) const {
  return is_file(root_ / folder_name_ / ".no_exist" / commit / file);
}

void RepoCache::make_folders(std::string_view commit) const {
  make_folder(blob("x").parent_path());
  make_folder(snapshot(commit));
  make_folder(lock("x").parent_path());
}

void RepoCache::link(std::string_view commit, std::string_view file, std::string_view etag) const {
  const fs::path link = snapshot(commit) / file;
  const fs::path target = fs::path("../../blobs") / etag;
  // A link cannot be written over: it is made beside and renamed. Whoever links a blob holds its lock, so
  // nobody else has this name.
  const fs::path temporary = snapshot(commit) / fmt::format(".{}.link", etag);
  std::error_code failed;
  fs::remove(temporary, failed);
  fs::create_symlink(target, temporary, failed);
  if (!failed) fs::rename(temporary, link, failed);
  if (failed) fail(link, failed);
}

void RepoCache::write_ref(std::string_view commit) const {
  if (is_commit(name_.revision)) return;
  const fs::path ref = root_ / folder_name_ / "refs" / name_.revision;
  make_folder(ref.parent_path());
  AtomicFile file(ref);
  file.write(commit);
  file.commit();
}

void RepoCache::remember_missing(std::string_view commit, std::string_view file) const {
  try {
    const fs::path mark = root_ / folder_name_ / ".no_exist" / commit / file;
    if (is_file(mark)) return;
    make_folder(mark.parent_path());
    AtomicFile(mark).commit();
  } catch (const Error&) {
    // A cache that only others may write serves as well.
  }
}

}  // namespace lille
