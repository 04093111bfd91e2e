#include "eval/verify_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/content_hash.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "hub/blob_hash.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "lille/error.h"
#include "lille/tokenizer.h"
#include "model/torch_source.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

// Bytes that are hashed between two calls of on_progress.
constexpr std::size_t kPieceBytes = 4 << 20;

/// What other programs look for beside the files that a download brings.
constexpr std::array<std::string_view, 3> kOtherFiles = {"added_tokens.json", "chat_template.json",
                                                         kWeightIndexFile};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The weights of a folder by name; an index that cannot be read names none.
std::vector<std::string> weight_files(const fs::path& folder) {
  if (const std::optional<fs::path> torch_file = find_torch_file(folder))
    return {torch_file->filename().string()};
  try {
    return weight_file_names(folder);
  } catch (const Error&) {
    return {};
  }
}

/// What a path stands for: a folder, and the files in it without which there is no model.
struct Place {
  fs::path folder;
  std::vector<std::string> needed;
  bool has_own_tokenizer = false;  ///< A GGUF file; nothing beside it belongs to it.
};

Place place_of(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    return {path.has_parent_path() ? path.parent_path() : fs::path("."),
            {path.filename().string()},
            GgufFile::is_gguf(path)};
  Place place = {path, weight_files(path), false};
  if (!find_torch_file(path)) place.needed.insert(place.needed.begin(), kConfigFile);
  return place;
}

bool is_used(const Place& place, const std::string& name) {
  if (std::ranges::find(place.needed, name) != place.needed.end()) return true;
  if (place.has_own_tokenizer) return false;
  return std::ranges::find(kSideFiles, name) != kSideFiles.end() ||
         std::ranges::find(kOtherFiles, name) != kOtherFiles.end();
}

std::vector<VerifiedFile> list_files(const Place& place, const fs::path& path) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  std::vector<VerifiedFile> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(place.folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool belongs = is_used(place, name);
    // Beside a file others of any kind may stand.
    if (!entry.is_regular_file(ignored) || (!belongs && !is_folder)) continue;
    files.push_back({name, static_cast<int64_t>(entry.file_size(ignored)), belongs, "", ""});
  }
  std::ranges::sort(files, {}, &VerifiedFile::name);
  return files;
}

/// The hash that the hub announced for a file, where it lies in the cache of downloads as a link to
/// blobs/HASH.
std::string announced_hash(const fs::path& path) {
  std::error_code failed;
  const fs::path target = fs::read_symlink(path, failed);
  if (failed || target.parent_path().filename() != "blobs") return {};
  return target.filename().string();
}

/// Hashes one file, and compares it with what was announced.
class FileHasher {
 public:
  using Progress = std::function<void(int64_t n_done, int64_t n_total)>;

  FileHasher(FilesReport& report, const Progress& on_progress) : report_(report), on_progress_(on_progress) {
    for (const VerifiedFile& file : report.files) n_total_ += file.is_used ? file.n_bytes : 0;
  }

  void hash(VerifiedFile& file, const fs::path& path) {
    const MappedFile content(path);
    const std::string announced = announced_hash(path);
    const std::optional<HashKind> kind = hash_kind(announced);
    const auto n_bytes = static_cast<int64_t>(content.bytes().size());
    BlobHash sha256(HashKind::kSha256, n_bytes);
    ContentHash xxh3;
    std::optional<BlobHash> git;
    if (kind == HashKind::kGitBlob) git.emplace(HashKind::kGitBlob, n_bytes);
    for (std::span<const std::byte> rest = content.bytes(); !rest.empty();) {
      const std::span<const std::byte> piece = rest.first(std::min(kPieceBytes, rest.size()));
      sha256.update(piece);
      xxh3.update(piece);
      if (git) git->update(piece);
      rest = rest.subspan(piece.size());
      n_done_ += static_cast<int64_t>(piece.size());
      if (on_progress_) on_progress_(n_done_, n_total_);
    }
    file.sha256 = sha256.finish();
    file.xxh3 = xxh3.digits();
    if (!kind) return;
    ++report_.n_compared;
    const std::string found = git ? git->finish() : file.sha256;
    if (found != announced)
      report_.damaged.push_back(
          fmt::format("{}: the hub announced {}, got {}", printable(file.name), announced, found));
  }

 private:
  FilesReport& report_;
  const Progress& on_progress_;
  int64_t n_done_ = 0;
  int64_t n_total_ = 0;
};

}  // namespace

FilesReport report_files(const fs::path& path,
                         const std::function<void(int64_t n_done, int64_t n_total)>& on_progress) {
  const Place place = place_of(path);
  FilesReport report;
  report.files = list_files(place, path);
  for (const std::string& name : place.needed)
    if (!is_there(place.folder / name)) report.missing.push_back(printable(name));
  if (!Tokenizer::exists(path))
    report.missing.emplace_back(place.has_own_tokenizer
                                    ? "the tokenizer in the file's metadata"
                                    : "vocab.json and merges.txt, tokenizer.json or Hastings.pkl");
  FileHasher hasher(report, on_progress);
  for (VerifiedFile& file : report.files) {
    if (file.is_used) hasher.hash(file, place.folder / file.name);
    file.name = printable(file.name);
  }
  return report;
}

}  // namespace lille
