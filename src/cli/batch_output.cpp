#include <random>

#include "base/check.h"
#include "cli/answer.h"
#include "cli/batch.h"
#include "io/json.h"

namespace lille::cli {
namespace {

using nlohmann::json;

// How every line begins; a cut line that begins otherwise is somebody else's.
constexpr std::string_view kBeginning = R"({"line":)";

// Longest answer that a run goes on after, in bytes: far more than a context with its log-probabilities
// takes.
constexpr int64_t kMaxAnswerBytes = 64 << 20;

constexpr std::string_view kHint = "Hint: name another file, or use --overwrite to lose what is in it";

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  raise(ErrorCode::kInvalidArgument, "[batch] {}: {}. {}", printable_path(path), reason, kHint);
}

[[noreturn]] void refuse_last_line(const std::string& path) {
  refuse(path, "expected answers of lille batch to go on with, got another last line");
}

// What the last line of an earlier run says of it.
struct Done {
  int64_t number;
  uint64_t seed;
  std::string settings;
  std::string input;
};

Done parse_done(const std::string& last_line, const std::string& path) {
  const json line = json::parse(last_line, nullptr, false);
  const auto is_text = [](const json& run, const char* key) {
    return run.contains(key) && run.at(key).is_string();
  };
  if (line.is_object() && line.contains("run") && line.contains("line") &&
      line.at("line").is_number_unsigned()) {
    const json& run = line.at("run");
    if (run.is_object() && run.contains("seed") && run.at("seed").is_number_unsigned() &&
        is_text(run, "settings") && is_text(run, "input"))
      return {line.at("line").get<int64_t>(), run.at("seed").get<uint64_t>(),
              run.at("settings").get<std::string>(), run.at("input").get<std::string>()};
  }
  refuse_last_line(path);
}

}  // namespace

BatchOutput::BatchOutput(const std::string& path, std::string settings, std::optional<uint64_t> seed,
                         bool overwrite)
    : path_(path) {
  run_.settings = std::move(settings);
  run_.seed = seed ? *seed : std::random_device()();
  if (path.empty() || path == "-") return;
  file_.emplace(path);
  if (!overwrite) read_end(seed);
}

void BatchOutput::read_end(std::optional<uint64_t> seed) {
  const std::optional<LineFile::End> end = file_->find_end(kMaxAnswerBytes);
  if (!end) refuse_last_line(path_);
  const std::string cut = file_->read_at(end->n_whole_bytes, kBeginning.size());
  const bool is_ours = cut == kBeginning.substr(0, cut.size());
  if (end->n_whole_bytes > 0) {
    const Done done = parse_done(end->last_line, path_);
    if (seed && *seed != done.seed)
      refuse(path_, fmt::format("its answers have seed {}, not {}", done.seed, *seed));
    if (done.settings != run_.settings)
      refuse(path_, "its answers were made with other options, another model or other kernels");
    run_.seed = done.seed;
    n_done_ = done.number;
    done_fingerprint_ = done.input;
  }
  if (!is_ours) refuse_last_line(path_);
  n_kept_bytes_ = end->n_whole_bytes;
}

void BatchOutput::begin(BatchInput& input) {
  if (n_done_ > 0) skip_done(input);
  if (file_) file_->truncate(n_kept_bytes_);
}

void BatchOutput::skip_done(BatchInput& input) const {
  std::optional<LineReader::Line> line = input.next();
  while (line && line->number < n_done_) line = input.next();
  if (!line)
    refuse(path_, fmt::format("it has an answer to line {}, and the input has fewer lines", n_done_));
  if (line->number != n_done_ || input.fingerprint() != done_fingerprint_)
    refuse(path_, fmt::format("its answers are to another input: the first {} lines differ", n_done_));
}

void BatchOutput::write(int64_t number, const nlohmann::ordered_json& content,
                        const std::string& input_fingerprint) {
  nlohmann::ordered_json json = {{"line", number}};
  json.update(content);
  json["run"] = {{"seed", run_.seed}, {"settings", run_.settings}, {"input", input_fingerprint}};
  const std::string text = json_text(json, -1);
  if (file_)
    file_->append(text);
  else
    print(text + "\n");
}

void BatchOutput::sync() {
  if (file_) file_->sync();
}

}  // namespace lille::cli
