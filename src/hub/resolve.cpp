#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "base/check.h"
#include "base/file_lock.h"
#include "base/text.h"
#include "hub/client.h"
#include "hub/download.h"
#include "hub/model_files.h"
#include "hub/repo_cache.h"
#include "io/folder_files.h"
#include "io/safetensors.h"
#include "lille/hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShortCommitChars = 7;
constexpr std::size_t kMaxFilesNamed = 10;

void note(const HubOptions& options, const std::string& text) {
  if (options.on_note) options.on_note(text);
}

std::string short_commit(std::string_view commit) { return std::string(commit.substr(0, kShortCommitChars)); }

bool is_here(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The model of the hub that a text names; nothing if it is to be taken as a path.
std::optional<HubName> hub_name_of(std::string_view model) {
  if (model.starts_with('.') || model.starts_with('/') || model.starts_with('~') || is_here(model))
    return std::nullopt;
  std::optional<HubName> name = parse_hub_name(model);
  if (name && is_here(name->owner))
    raise(ErrorCode::kNotFound,
          "[resolve_model] {}: expected a folder, got none of this name; it is not looked for on the hub "
          "either, "
          "because {} is here. Hint: check the path, or use lille pull for the model of the hub",
          printable(model), name->owner);
  return name;
}

/// Brings the files of one commit that are missing into its snapshot. From the first that is missing on,
/// nothing of the repository is removed as long as this object lives.
class Update {
 public:
  Update(HubClient& client, const RepoCache& cache, const HubListing& listing, const HubOptions& options)
      : client_(client), cache_(cache), listing_(listing), options_(options) {}

  /// @returns what a model is loaded from.
  fs::path run() {
    const fs::path folder = cache_.snapshot(listing_.commit);
    if (!cache_.name().file.empty()) {
      download({named_file()});
      return folder / named_file();
    }
    const std::vector<std::string> first = first_files(listing_.files);
    if (first.empty()) {
      download({only_gguf_file()});
    } else {
      bring_folder(first);
    }
    for (const std::string_view file : kSideFiles) remember(file);
    for (const std::string_view file : {kWeightFile, kWeightIndexFile}) remember(file);
    return first.empty() ? folder / only_gguf_file() : folder;
  }

 private:
  bool is_listed(std::string_view file) const {
    return std::ranges::find(listing_.files, file) != listing_.files.end();
  }

  const std::string& named_file() const {
    const std::string& file = cache_.name().file;
    if (!is_listed(file))
      raise(ErrorCode::kNotFound, "[hub] {}: expected a file of the repository, got another name{}",
            cache_.name().text(), hint_of_gguf_files());
    return file;
  }

  /// The GGUF file of a repository that has no other form.
  const std::string& only_gguf_file() const {
    const std::vector<std::string> files = gguf_files();
    if (files.empty())
      raise(ErrorCode::kNotFound,
            "[hub] {}: expected config.json and {} or {}, or a GGUF file, got {} other files. Hint: name a "
            "repository with the original, MLX or GGUF weights",
            cache_.name().text(), kWeightFile, kWeightIndexFile, listing_.files.size());
    if (files.size() > 1)
      raise(ErrorCode::kInvalidArgument, "[hub] {}: expected one GGUF file, got {}{}", cache_.name().text(),
            files.size(), hint_of_gguf_files());
    return *std::ranges::find(listing_.files, files.front());
  }

  std::vector<std::string> gguf_files() const {
    std::vector<std::string> files = listing_.files;
    std::erase_if(files, [](const std::string& file) { return !is_gguf_name(file); });
    return files;
  }

  std::string hint_of_gguf_files() const {
    std::string names;
    const std::vector<std::string> files = gguf_files();
    for (const std::string& file : std::span(files).first(std::min(files.size(), kMaxFilesNamed)))
      names += (names.empty() ? "" : ", ") + printable(file);
    if (files.empty()) return ". Hint: the repository has no GGUF file";
    return fmt::format(". Hint: name one as {}:{}; there are {}{}", cache_.name().repo(),
                       printable(files.front()), names, files.size() > kMaxFilesNamed ? ", ..." : "");
  }

  void bring_folder(const std::vector<std::string>& first) {
    // The index says which weights there are, so it has to come before it is known how much is to come.
    if (first.back() == kWeightIndexFile) download({kWeightIndexFile});
    std::vector<std::string> files = first;
    for (const std::string& file : weight_file_names(cache_.snapshot(listing_.commit))) {
      if (!is_listed(file))
        raise(ErrorCode::kNotFound,
              "[hub] {}: expected the file {} that {} names, got none. Hint: the repository is not whole",
              cache_.name().text(), printable(file), kWeightIndexFile);
      if (std::ranges::find(files, file) == files.end()) files.push_back(file);
    }
    download(files);
  }

  bool has_all(std::span<const std::string> files) const {
    return std::ranges::all_of(files, [&](const auto& file) { return cache_.has(listing_.commit, file); });
  }

  void hold_lock() {
    if (lock_) return;
    cache_.make_folders(listing_.commit);
    const auto tell = [&] {
      note(options_, fmt::format("another process removes {}; waiting for it", cache_.name().repo()));
    };
    lock_.emplace(FileLock(cache_.repo_lock(), options_.cancel, tell, LockKind::kShared));
  }

  void download(const std::vector<std::string>& files) {
    if (has_all(files)) return;
    hold_lock();
    std::vector<HubFile> missing;
    int64_t n_to_come = 0;
    for (const std::string& file : files) {
      if (cache_.has(listing_.commit, file)) continue;
      missing.push_back(client_.look_up(cache_.name(), listing_.commit, file));
      n_to_come += cache_.n_bytes_to_come(missing.back().etag, missing.back().n_bytes);
    }
    if (missing.empty()) return;
    cache_.make_folders(listing_.commit);
    check_space(n_to_come);
    if (files.front() != kWeightIndexFile)
      note(options_, fmt::format("downloading {}, commit {}: {} file{}, {:.1f} MB", cache_.name().text(),
                                 short_commit(listing_.commit), missing.size(),
                                 missing.size() == 1 ? "" : "s", static_cast<double>(n_to_come) / 1e6));
    for (const HubFile& file : missing) download_file(client_, cache_, listing_.commit, file, options_);
  }

  void check_space(int64_t n_bytes) const {
    const fs::path snapshot = cache_.snapshot(listing_.commit);
    std::error_code failed;
    const fs::space_info space = fs::space(snapshot, failed);
    if (failed || space.available >= static_cast<uint64_t>(n_bytes)) return;
    raise(ErrorCode::kIo,
          "[hub] {}: expected {:.1f} MB of free space in {}, got {:.1f} MB. Hint: free some, or name another "
          "folder with HF_HUB_CACHE",
          cache_.name().text(), static_cast<double>(n_bytes) / 1e6, printable_path(snapshot),
          static_cast<double>(space.available) / 1e6);
  }

  void remember(std::string_view file) const {
    if (!is_listed(file)) cache_.remember_missing(listing_.commit, file);
  }

  HubClient& client_;
  const RepoCache& cache_;
  const HubListing& listing_;
  const HubOptions& options_;
  std::optional<FileLock> lock_;
};

/// A GGUF file that is in the cache although it may not be all of the model.
std::string hint_of_cached_file(const RepoCache& cache, const std::string& commit) {
  const std::vector<std::string> files = cache.gguf_files(commit);
  if (commit.empty() || files.empty()) return "";
  HubName there = cache.name();
  there.file = files.front();
  return fmt::format("name the file that is there, {}, or ", printable(there.text()));
}

enum class IfUnreachable { kUseCache, kFail };

fs::path bring(const HubName& name, const HubOptions& options, IfUnreachable if_unreachable) {
  const RepoCache cache(options.cache_folder, name);
  const std::string cached = cache.commit().value_or("");
  const bool is_usable = !cached.empty() && cache.is_usable(cached);
  if (options.offline && !is_usable)
    raise(ErrorCode::kNotFound,
          "[hub] {}: expected it in the cache, because HF_HUB_OFFLINE forbids to ask the hub, got {} in {}. "
          "Hint: {}unset HF_HUB_OFFLINE and lille pull {}",
          name.text(), cached.empty() ? "nothing" : "a part of it", printable_path(options.cache_folder),
          hint_of_cached_file(cache, cached), name.text());
  // A commit never changes, so a whole one leaves nothing to ask.
  if (options.offline || (is_commit(name.revision) && cache.is_complete(cached))) return cache.model(cached);

  const bool may_use_cache = is_usable && if_unreachable == IfUnreachable::kUseCache;
  HubOptions asking = options;
  if (asking.token.empty() && asking.find_token) asking.token = asking.find_token();
  HubClient client(asking, may_use_cache ? 1 : asking.n_attempts);
  HubListing listing;
  try {
    listing = client.list(name);
  } catch (const Error& error) {
    if (!may_use_cache || error.code() == ErrorCode::kCanceled || error.code() == ErrorCode::kInvalidArgument)
      throw;
    note(options, fmt::format("using the copy of {} in the cache, commit {}; it could not be compared: {}",
                              name.text(), short_commit(cached), error.what()));
    return cache.model(cached);
  }
  HubClient patient(asking, asking.n_attempts);
  Update update(patient, cache, listing, asking);
  const fs::path model = update.run();
  if (cache.commit() != listing.commit) cache.write_ref(listing.commit);
  return model;
}

}  // namespace

fs::path resolve_model(std::string_view model, const HubOptions& options) {
  const std::optional<HubName> name = hub_name_of(model);
  if (!name) return fs::path(model);
  try {
    return bring(*name, options, IfUnreachable::kUseCache);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCanceled) throw;
    raise(error.code(),
          "[resolve_model] {}: no file or folder here is called so, and as a model of the hub: {}",
          printable(model), error.what());
  }
}

fs::path pull_model(std::string_view text, const HubOptions& options) {
  const std::optional<HubName> name = parse_hub_name(text);
  if (!name)
    raise(ErrorCode::kInvalidArgument,
          "[pull_model] \"{}\": expected OWNER/NAME or OWNER/NAME@REVISION, and :FILE.gguf for one of "
          "several. Hint: for example "
          "Nikity/lille-130m-instruct",
          printable(text));
  return bring(*name, options, IfUnreachable::kFail);
}

}  // namespace lille
