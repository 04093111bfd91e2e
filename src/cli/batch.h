#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/content_hash.h"
#include "base/line_file.h"
#include "base/line_reader.h"
#include "cli/cli.h"

namespace lille::cli {

/// The input of `lille batch`: JSON Lines, blank ones left out.
class BatchInput {
 public:
  /// Longest line, in bytes: far more than any context holds.
  static constexpr std::size_t kMaxLineBytes = 16 << 20;

  /// @param path  "-" is stdin.
  explicit BatchInput(const std::string& path);

  /// The next line that is not blank.
  std::optional<LineReader::Line> next();
  /// Of all lines up to the one that next() gave last.
  std::string fingerprint() const { return hash_.digits(); }

 private:
  LineReader reader_;
  ContentHash hash_;
};

/// What one line asks for.
struct BatchRequest {
  std::vector<int32_t> tokens;
  GenerationOptions options;  ///< The command line's, with what the line says instead.
};

/// The object in a line; a JSON Schema in it is a text in which the names of objects keep their order.
/// @throws Error(kInvalidArgument) that names the line and what is wrong with it.
nlohmann::json parse_batch_line(const LineReader::Line& line);

/// @param object    with "prompt" or "messages", "id" if it likes, and options of the table by their names.
/// @param options   of the command line.
/// @throws Error(kInvalidArgument) that names the field.
BatchRequest read_batch_request(const nlohmann::json& object, const GenerationOptions& options,
                                const GenerationDefaults& defaults, const Tokenizer& tokenizer);

/// What decides the answers of a run beside its input and seed: options, defaults, tokens and weights, the
/// kernels' name and the program's version. It does not depend on paths, nor on other files beside the
/// model. Reads all weights.
std::string settings_fingerprint(const GenerationOptions& options, const GenerationDefaults& defaults,
                                 const Tokenizer& tokenizer, const Session& session);

/// Which run a line of output belongs to; each line has it as "run".
struct BatchRun {
  uint64_t seed = 0;     ///< Of line 1; line N has seed + N - 1.
  std::string settings;  ///< settings_fingerprint()
};

/// Where the answers go: stdout, or a file that a later run continues.
class BatchOutput {
 public:
  /// Of a file: finds where an earlier run ended, and takes the seed of that run if `seed` is empty.
  /// @param path  empty or "-" is stdout.
  /// @throws Error(kInvalidArgument) unless the file is empty, or overwritten, or of the same settings and
  ///   seed; Error as LineFile.
  BatchOutput(const std::string& path, std::string settings, std::optional<uint64_t> seed, bool overwrite);

  const BatchRun& run() const noexcept { return run_; }
  /// The number of the input line that was answered last; 0 if none was.
  int64_t n_done() const noexcept { return n_done_; }

  /// Skips what is answered, then cuts off what is no whole answer, or everything if it is overwritten.
  /// Until then the file is as it was.
  /// @throws Error(kInvalidArgument) if the answers are not those of this input.
  void begin(BatchInput& input);

  /// Writes the line for input line `number`.
  /// @param content            what stands between its number and its "run".
  /// @param input_fingerprint  BatchInput::fingerprint() at that line.
  void write(int64_t number, const nlohmann::ordered_json& content, const std::string& input_fingerprint);
  /// Flushes to the disk.
  void sync();

 private:
  void read_end(std::optional<uint64_t> seed);
  void skip_done(BatchInput& input) const;

  std::string path_;
  std::optional<LineFile> file_;
  BatchRun run_;
  int64_t n_done_ = 0;
  int64_t n_kept_bytes_ = 0;
  std::string done_fingerprint_;
};

}  // namespace lille::cli
