#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/file_lock.h"
#include "base/text.h"
#include "hub/repo_cache.h"
#include "lille/hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";
constexpr std::string_view kSeparator = "--";
constexpr std::size_t kMinCommitDigits = 7;
constexpr std::size_t kMaxCommitsNamed = 10;

bool is_real_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

/// What stands in a folder, sorted; nothing for a folder that is not there or is a link.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  if (!is_real_folder(folder)) return entries;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
    entries.push_back(entry->path());
  if (failed)
    raise(ErrorCode::kIo, "[models] {}: {}. Hint: may this user read it?", printable_path(folder),
          failed.message());
  std::ranges::sort(entries);
  return entries;
}

/// Calls visit(path) for each file and link below a folder, without following links.
template <typename Visit>
void visit_files(const fs::path& folder, Visit&& visit) {
  for (const fs::path& entry : entries_of(folder)) {
    if (is_real_folder(entry))
      visit_files(entry, visit);
    else
      visit(entry);
  }
}

/// Bytes of a file itself; a link has none.
int64_t bytes_of(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_regular_file(fs::symlink_status(path, failed))) return 0;
  const auto n_bytes = fs::file_size(path, failed);
  return failed ? 0 : static_cast<int64_t>(n_bytes);
}

int64_t bytes_below(const fs::path& folder) {
  int64_t n_bytes = 0;
  visit_files(folder, [&n_bytes](const fs::path& file) { n_bytes += bytes_of(file); });
  return n_bytes;
}

/// The folder of one model in the cache, as it is found there.
struct Repo {
  std::string name;
  fs::path folder;

  std::vector<fs::path> snapshots() const {
    std::vector<fs::path> snapshots = entries_of(folder / "snapshots");
    std::erase_if(snapshots, [](const fs::path& path) { return !is_real_folder(path); });
    return snapshots;
  }

  /// The files below refs that say this commit.
  std::vector<fs::path> refs_to(const std::string& commit) const {
    std::vector<fs::path> refs;
    visit_files(folder / "refs", [&](const fs::path& file) {
      if (read_ref(file) == commit) refs.push_back(file);
    });
    return refs;
  }

  /// The blobs that the links of a snapshot lead to; a link that leads elsewhere has none.
  std::set<fs::path> blobs_of(const fs::path& snapshot) const {
    std::set<fs::path> blobs;
    visit_files(snapshot, [&](const fs::path& file) {
      std::error_code failed;
      const fs::path target = fs::read_symlink(file, failed);
      if (failed) return;
      const fs::path blob = (file.parent_path() / target).lexically_normal();
      if (blob.parent_path() == (folder / "blobs").lexically_normal() && blob.has_filename())
        blobs.insert(blob);
    });
    return blobs;
  }
};

std::optional<Repo> repo_at(const fs::path& folder) {
  const std::string text = folder.filename().string();
  if (!text.starts_with(kPrefix) || !is_real_folder(folder)) return std::nullopt;
  const std::size_t separator = text.find(kSeparator, kPrefix.size());
  if (separator == text.npos) return std::nullopt;
  const std::optional<HubName> name =
      parse_hub_name(fmt::format("{}/{}", text.substr(kPrefix.size(), separator - kPrefix.size()),
                                 text.substr(separator + kSeparator.size())));
  if (!name || !name->file.empty()) return std::nullopt;
  return Repo{.name = name->repo(), .folder = folder};
}

CachedModel cached_model(const Repo& repo, const fs::path& snapshot) {
  CachedModel model{.name = repo.name,
                    .commit = snapshot.filename().string(),
                    .refs = {},
                    .n_bytes = bytes_below(snapshot),
                    .folder = snapshot};
  for (const fs::path& ref : repo.refs_to(model.commit))
    model.refs.push_back(ref.lexically_relative(repo.folder / "refs").string());
  for (const fs::path& blob : repo.blobs_of(snapshot)) model.n_bytes += bytes_of(blob);
  return model;
}

void check_real(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_symlink(fs::symlink_status(folder, ignored))) return;
  raise(ErrorCode::kUnsupported,
        "[models] {}: expected a folder, got a link, and nothing is removed through links. Hint: remove it "
        "by hand",
        printable_path(folder));
}

Repo repo_named(std::string_view text, const fs::path& cache_folder) {
  const std::optional<HubName> name = parse_hub_name(text);
  if (!name || !name->file.empty())
    raise(ErrorCode::kInvalidArgument,
          "[models] \"{}\": expected OWNER/NAME or OWNER/NAME@REVISION. Hint: lille models lists them",
          printable(text));
  return {.name = name->repo(), .folder = cache_folder / repo_folder_name(name->owner, name->name)};
}

/// @throws Error(kIo) if somebody has the lock.
FileLock lock_or_fail(const Repo& repo, const fs::path& file, const std::string& what) {
  std::optional<FileLock> lock = FileLock::try_lock(file);
  if (!lock)
    raise(ErrorCode::kIo,
          "[models] {}: expected a model that nobody downloads, got one of which {} is locked. Hint: wait "
          "until the download is done",
          repo.name, what);
  return std::move(*lock);
}

/// The locks of a model and of all its blobs, those that somebody began to download included. (Other programs
/// lock blobs only.)
/// @throws Error(kIo) if somebody has one.
std::vector<FileLock> lock_all(const Repo& repo, const fs::path& cache_folder) {
  std::vector<FileLock> locks;
  if (!is_real_folder(repo.folder)) return locks;
  const fs::path folder = cache_folder / ".locks" / repo.folder.filename();
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  locks.push_back(lock_or_fail(repo, folder / kRepoLockFile, "the repository"));
  std::set<fs::path> files;
  for (const fs::path& lock : entries_of(folder))
    if (lock.extension() == ".lock" && lock.filename() != kRepoLockFile) files.insert(lock);
  for (const fs::path& blob : entries_of(repo.folder / "blobs"))
    if (blob.extension() != ".incomplete") files.insert(folder / (blob.filename().string() + ".lock"));
  for (const fs::path& file : files) locks.push_back(lock_or_fail(repo, file, printable_path(file.stem())));
  return locks;
}

/// The snapshot that a revision is; nothing if there is none.
/// @throws Error(kInvalidArgument) if it is the beginning of several.
std::optional<fs::path> snapshot_of(const Repo& repo, const std::string& revision) {
  const std::string commit = read_ref(repo.folder / "refs" / revision).value_or(revision);
  std::vector<fs::path> found = repo.snapshots();
  std::erase_if(found, [&](const fs::path& snapshot) {
    return commit.size() < kMinCommitDigits || !snapshot.filename().string().starts_with(commit);
  });
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    std::vector<std::string> commits;
    for (const fs::path& snapshot : found)
      if (commits.size() < kMaxCommitsNamed) commits.push_back(printable_path(snapshot.filename()));
    raise(
        ErrorCode::kInvalidArgument,
        "[models] {}@{}: expected the beginning of one commit, got that of {}: {}{}. Hint: write more of it",
        repo.name, printable(revision), found.size(), fmt::join(commits, ", "),
        found.size() > commits.size() ? ", ..." : "");
  }
  return found.front();
}

}  // namespace

std::vector<CachedModel> cached_models(const fs::path& cache_folder) {
  std::vector<CachedModel> models;
  // The cache itself may be a link: that is where the user wants it.
  std::error_code missing;
  const fs::path root = fs::canonical(cache_folder, missing);
  if (missing) return models;
  for (const fs::path& entry : entries_of(root)) {
    const std::optional<Repo> repo = repo_at(entry);
    if (!repo) continue;
    for (const fs::path& snapshot : repo->snapshots()) models.push_back(cached_model(*repo, snapshot));
    if (repo->snapshots().empty())
      models.push_back({.name = repo->name,
                        .commit = "",
                        .refs = {},
                        .n_bytes = bytes_below(repo->folder),
                        .folder = repo->folder});
  }
  std::ranges::stable_sort(models, {}, &CachedModel::name);
  return models;
}

ModelRemoval plan_removal(std::string_view text, const fs::path& cache_folder) {
  const Repo repo = repo_named(text, cache_folder);
  for (const char* part : {"", "snapshots", "blobs", "refs", ".no_exist"})
    check_real(*part == '\0' ? repo.folder : repo.folder / part);
  const bool is_everything = text.find('@') == text.npos;
  const std::optional<fs::path> snapshot =
      is_everything ? std::nullopt : snapshot_of(repo, parse_hub_name(text)->revision);
  if (!is_real_folder(repo.folder) || (!is_everything && !snapshot))
    raise(ErrorCode::kNotFound,
          "[models] {}: expected it in the cache {}, got none. Hint: lille models lists them",
          printable(text), printable_path(cache_folder));

  const std::vector<fs::path> snapshots = repo.snapshots();
  if (is_everything || snapshots.size() == 1)
    return {.name = repo.name,
            .n_revisions = static_cast<int64_t>(snapshots.size()),
            .n_bytes = bytes_below(repo.folder),
            .paths = {repo.folder}};
  const std::string commit = snapshot->filename().string();
  ModelRemoval removal{
      .name = repo.name, .n_revisions = 1, .n_bytes = bytes_below(*snapshot), .paths = {*snapshot}};
  for (const fs::path& ref : repo.refs_to(commit)) removal.paths.push_back(ref);
  removal.paths.push_back(repo.folder / ".no_exist" / commit);
  std::set<fs::path> blobs = repo.blobs_of(*snapshot);
  for (const fs::path& other : snapshots)
    if (other != *snapshot)
      for (const fs::path& blob : repo.blobs_of(other)) blobs.erase(blob);
  for (const fs::path& blob : blobs) {
    removal.n_bytes += bytes_of(blob);
    removal.paths.push_back(blob);
  }
  return removal;
}

ModelRemoval remove_model(std::string_view text, const fs::path& cache_folder) {
  // Who downloads has the lock until every link stands, so the plan that counts is made under the locks.
  const std::vector<FileLock> locks = lock_all(repo_named(text, cache_folder), cache_folder);
  const ModelRemoval removal = plan_removal(text, cache_folder);
  for (const fs::path& path : removal.paths) {
    std::error_code failed;
    fs::remove_all(path, failed);
    if (failed)
      raise(ErrorCode::kIo, "[models] {}: {}. Hint: may this user write there?", printable_path(path),
            failed.message());
  }
  return removal;
}

}  // namespace lille
