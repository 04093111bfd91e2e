#include "hub/download.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/file_lock.h"
#include "base/partial_file.h"
#include "base/text.h"
#include "hub/blob_hash.h"
#include "hub/model_files.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

/// "bytes 100-199/200" for a content of 200 bytes from 100 on.
bool is_rest(const HttpResponse& response, int64_t first_byte, int64_t n_bytes) {
  return response.header("content-range") == fmt::format("bytes {}-{}/{}", first_byte, n_bytes - 1, n_bytes);
}

/// One file on its way to the disk.
class Download {
 public:
  Download(HubClient& client, const HubName& name, const std::string& commit, const HubFile& file,
           const HubOptions& options)
      : client_(client), name_(name), commit_(commit), file_(file), options_(options) {}

  /// Completes what is in `part`.
  void fill(PartialFile& part) {
    // Only a hash can tell whether two halves belong together.
    if (part.n_bytes() > file_.n_bytes || !hash_kind(file_.etag)) part.clear();
    bool has_restarted = false;
    for (int64_t n_failed = 1; part.n_bytes() < file_.n_bytes; ++n_failed) {
      const int64_t first_byte = part.n_bytes();
      const HttpResponse response = attempt(part);
      if (part.n_bytes() == file_.n_bytes) return;
      if (part.n_bytes() > first_byte) n_failed = 1;
      if (!has_restarted && first_byte > 0 && (response.status == 416 || is_wrong_part_)) {
        has_restarted = true;
        part.clear();
        continue;
      }
      if (response.is_success()) fail_size(part, part.n_bytes());
      client_.wait_or_fail(response, n_failed, name_, file_.name);
    }
  }

  /// @throws Error(kCorruptFile) and removes the file unless it has the hash that was announced. Weights
  /// without one are a note.
  void verify(PartialFile& part) const {
    const std::optional<HashKind> kind = hash_kind(file_.etag);
    if (!kind) {
      if (options_.on_note && (file_.name.ends_with(".safetensors") || is_gguf_name(file_.name)))
        options_.on_note(
            fmt::format("warning: {} of {}: the hub tells no hash of it, so only its size was checked",
                        printable(file_.name), name_.text()));
      return;
    }
    BlobHash hash(*kind, file_.n_bytes);
    part.read([&hash](std::span<const std::byte> bytes) { hash.update(bytes); });
    const std::string found = hash.finish();
    if (found == file_.etag) return;
    part.remove();
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: {}: expected a content with the {} {}, got {}; it was removed. Hint: try again, and do "
          "not "
          "trust this hub if it stays so",
          name_.text(), printable(file_.name), *kind == HashKind::kSha256 ? "SHA-256" : "git hash",
          file_.etag, found);
  }

 private:
  HttpResponse attempt(PartialFile& part) {
    const int64_t first_byte = part.n_bytes();
    bool is_begun = false;
    is_wrong_part_ = false;
    const auto take = [&](const HttpResponse& response, std::span<const std::byte> bytes) {
      if (!is_begun) {
        is_wrong_part_ = response.status == 206 && !is_rest(response, first_byte, file_.n_bytes);
        if (response.status != 206) part.clear();
      }
      is_begun = true;
      if (is_wrong_part_) return;
      if (static_cast<int64_t>(bytes.size()) > file_.n_bytes - part.n_bytes())
        fail_size(part, part.n_bytes() + static_cast<int64_t>(bytes.size()));
      part.append(bytes);
      if (options_.on_progress)
        options_.on_progress({.file = file_.name, .n_done = part.n_bytes(), .n_total = file_.n_bytes});
    };
    return client_.get(name_, commit_, file_.name, first_byte, take);
  }

  [[noreturn]] void fail_size(PartialFile& part, int64_t n_found) const {
    part.remove();
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: {}: expected {} bytes as announced, got {} {}; they were removed. Hint: try again",
          name_.text(), printable(file_.name), file_.n_bytes, n_found > file_.n_bytes ? "at least" : "only",
          n_found);
  }

  HubClient& client_;
  const HubName& name_;
  const std::string& commit_;
  const HubFile& file_;
  const HubOptions& options_;
  bool is_wrong_part_ = false;  ///< Whether the last attempt was answered with another part than asked for.
};

}  // namespace

void download_file(HubClient& client, const RepoCache& cache, const std::string& commit, const HubFile& file,
                   const HubOptions& options) {
  cache.make_folders(commit);
  const auto tell = [&] {
    if (options.on_note)
      options.on_note(fmt::format("another process downloads {} of {}; waiting for it", printable(file.name),
                                  cache.name().text()));
  };
  const FileLock lock(cache.lock(file.etag), options.cancel, tell);
  if (!cache.has_blob(file.etag, file.n_bytes)) {
    PartialFile part(cache.incomplete_blob(file.etag));
    Download download(client, cache.name(), commit, file, options);
    download.fill(part);
    download.verify(part);
    part.commit(cache.blob(file.etag));
  }
  cache.link(commit, file.name, file.etag);
}

}  // namespace lille
