#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lille/model.h"

namespace lille {

/// A file of a model.
struct VerifiedFile {
  std::string name;     ///< In its folder; printable.
  int64_t n_bytes = 0;  ///< Its size.
  bool is_used =
      true;            ///< The model is read from it, or other programs look for it; else it only lies there.
  std::string sha256;  ///< 64 hexadecimal digits; empty unless is_used.
  std::string xxh3;    ///< 32 hexadecimal digits, as xxh128sum prints them; empty unless is_used.
};

/// How a check came out.
enum class CheckResult {
  kPassed,   ///< As it should be.
  kNoted,    ///< Works, but a user should know.
  kFailed,   ///< Something is wrong.
  kSkipped,  ///< Could not be looked at because of what failed.
};

/// "ok", "note", "FAILED" or "skipped".
std::string_view check_result_name(CheckResult result) noexcept;

/// One thing that was looked at.
struct Check {
  std::string name;  ///< "files", "checksums", "configuration", "weights", "values", "tokenizer", ...
  CheckResult result = CheckResult::kPassed;  ///< How it came out.
  std::string text;                           ///< What was found, one line.
};

/// Perplexities of the built-in text among tokens that stand at positions [begin, end).
struct RopePositions {
  int64_t begin = 0;                         ///< First position.
  int64_t end = 0;                           ///< Behind the last.
  int64_t n_predictions = 0;                 ///< Over which they are taken.
  std::vector<RopePerplexity> perplexities;  ///< One for each layout.
};

/// What verify_model found.
struct VerifyReport {
  std::string form;                     ///< As Model::form; empty if that cannot be told.
  std::vector<VerifiedFile> files;      ///< Sorted by name.
  std::vector<std::string> missing;     ///< Files without which the model, or a chat with it, cannot be.
  int64_t n_tensors = 0;                ///< Parameters of the model; 0 if it cannot be loaded.
  std::vector<Model::Storage> storage;  ///< As Model::storage.
  double bits_per_weight = 0;           ///< Scales and biases included.
  RopeChoice rope;                      ///< The layout that is used.
  RopeChoice measured_rope;             ///< What the whole built-in text says, if it could be measured.
  std::vector<RopePositions> rope_positions;  ///< Empty if nothing could be measured.
  std::string prompt;                         ///< What was continued greedily.
  std::string continuation;                   ///< How; not necessarily UTF-8.
  std::vector<Check> checks;                  ///< In the order in which they were made.

  /// Nothing failed and nothing was skipped.
  bool is_well() const noexcept;
};

/// What verify_model obeys and tells.
struct VerifyOptions {
  std::optional<RopeLayout> rope_layout;  ///< As LoadOptions::rope_layout.
  std::filesystem::path cache_folder;     ///< As LoadOptions::cache_folder.
  int64_t n_threads = 0;                  ///< 0: every usable processor.
  std::string kernels;                    ///< Kernel table by name; empty: the best this machine runs.
  std::function<void(std::string_view step, int64_t n_done, int64_t n_total)> on_progress;  ///< May be empty.
};

/// Looks at everything that makes a model: its files and their checksums (those of a download are compared
/// with what the hub announced), arguments, weights, tokenizer, chat template, rotary layout, and how it
/// continues a short text. Whatever is wrong with the model is told in the report.
/// @param path  as Model::load.
/// @throws Error(kNotFound) if nothing is there; Error(kInvalidArgument | kUnsupported) for an unknown kernel
///   table or a bad number of threads.
VerifyReport verify_model(const std::filesystem::path& path, const VerifyOptions& options = {});

}  // namespace lille
