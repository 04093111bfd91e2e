#include "base/atomic_folder.h"

#include <stdlib.h>
#include <sys/stat.h>

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
  if (!fs::is_empty(target, failed) && !fs::exists(target / "config.json", failed))
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected a model's folder to overwrite, got one without config.json. Hint: name a new "
          "folder",
          printable_path(target));
}

/// A new folder beside `target`, with the permissions that a folder made by this user has.
fs::path make_beside(const fs::path& target) {
  std::string pattern = target.string() + ".tmp-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    const int reason = errno;
    raise(reason == ENOENT || reason == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo,
          "[write] {}: {}. Hint: does the folder around it exist, and may this user write there?",
          printable_path(target), std::strerror(reason));
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::chmod(pattern.c_str(), 0777 & ~mask);
  return pattern;
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

void AtomicFolder::commit() {
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
