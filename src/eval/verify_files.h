#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lille/verify.h"

namespace lille {

/// What of a model lies on the disk.
struct FilesReport {
  std::vector<VerifiedFile> files;   ///< Sorted by name.
  std::vector<std::string> missing;  ///< Without which the model, or a chat with it, cannot be.
  std::vector<std::string> damaged;  ///< Whose content is not what the hub announced, with both hashes.
  int64_t n_compared = 0;            ///< Files of a download that were compared with what the hub announced.
};

/// Lists the files of a folder, or a file and what belongs to it in its folder, and hashes those that a model
/// or its tokenizer consists of.
/// @param on_progress  called with bytes; may be empty.
/// @throws Error(kNotFound) if nothing is there; Error(kIo) for a file that cannot be read.
FilesReport report_files(const std::filesystem::path& path,
                         const std::function<void(int64_t n_done, int64_t n_total)>& on_progress);

}  // namespace lille
