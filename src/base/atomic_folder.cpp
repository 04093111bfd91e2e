#include "base/atomic_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

/// Without a separator at the end, which would hide the name.
fs::path without_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

void check_target(const fs::path& target, IfExists if_exists) {
  std::error_code failed;
  if (!target.has_filename() || target.filename() == "." || target.filename() == "..")
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected the name of a folder to be made. Hint: name a new folder",
          printable_path(target));
  if (!fs::exists(fs::symlink_status(target, failed))) return;
  if (!fs::is_directory(target, failed))
    raise(ErrorCode::kInvalidArgument, "[write] {}: expected a folder, got a file. Hint: name a new folder",
          printable_path(target));
  if (if_exists == IfExists::kRefuse)
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected no such folder yet, got one. Hint: name a new folder, or allow to overwrite "
          "this one",
          printable_path(target));
}

/// A new folder beside `target`.
fs::path make_beside(const fs::path& target) {
  for (int attempt = 0;; ++attempt) {
    const std::string path = fmt::format("{}.tmp-{}-{}", target.string(), ::getpid(), attempt);
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    const int reason = errno;
    if (reason == EEXIST) continue;
    raise(reason == ENOENT || reason == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
          "[write] {}: {}. Hint: does the folder around it exist, and may this user write there?",
          printable_path(target), std::strerror(reason));
  }
}

/// What is in `target` must be in `replacement` too, or be one of the files `to_come`, so that nothing is
/// lost that is not written anew.
void check_replaceable(const fs::path& target, const fs::path& replacement,
                       std::span<const std::string_view> to_come) {
  for (const fs::directory_entry& entry : fs::directory_iterator(target)) {
    std::error_code ignored;
    const fs::path name = entry.path().filename();
    const bool is_anew =
        fs::exists(replacement / name, ignored) || std::ranges::find(to_come, name.native()) != to_come.end();
    if (is_anew && !entry.is_directory(ignored)) continue;
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected nothing but files that are written anew, got {}. Nothing was changed. Hint: "
          "move it elsewhere, or name a new folder",
          printable_path(target), printable_path(name));
  }
}

[[noreturn]] void fail_rename(const fs::path& target, const std::error_code& reason) {
  raise(ErrorCode::kIo, "[write] {}: {}. Nothing was changed. Hint: name another folder",
        printable_path(target), reason.message());
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& target, IfExists if_exists) : target_(without_slash(target)) {
  check_target(target_, if_exists);
  temporary_ = make_beside(target_);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::check(std::span<const std::string_view> to_come) const {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(target_, ignored))) check_replaceable(target_, temporary_, to_come);
}

void AtomicFolder::commit() {
  check();
  std::error_code failed;
  fs::path old;
  if (fs::exists(fs::symlink_status(target_, failed))) {
    // The old content moves into a new folder beside, so that a failure can put it back.
    old = make_beside(target_);
    fs::rename(target_, old / "old", failed);
    if (failed) {
      std::error_code ignored;
      fs::remove(old, ignored);
      fail_rename(target_, failed);
    }
  }
  fs::rename(temporary_, target_, failed);
  std::error_code ignored;
  if (failed) {
    if (!old.empty()) fs::rename(old / "old", target_, ignored);
    if (!old.empty()) fs::remove(old, ignored);
    fail_rename(target_, failed);
  }
  temporary_.clear();
  if (!old.empty()) fs::remove_all(old, ignored);
}

}  // namespace lille
