#include "lille/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/check.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "eval/verify_files.h"
#include "io/folder_files.h"
#include "kernels/kernel_table.h"
#include "lille/defaults.h"
#include "lille/generate.h"
#include "lille/tokenizer.h"
#include "model/access.h"
#include "model/lille.h"
#include "model/model_source.h"
#include "model/parameters.h"
#include "model/rope_choice.h"
#include "model/rope_text.h"
#include "model/torch_source.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/token_difference.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using enum CheckResult;

constexpr std::size_t kMaxFaultsNamed = 5;
constexpr std::string_view kPrompt = "Once upon a time";
constexpr int64_t kContinuationTokens = 32;
// The same token so often in a row is no text.
constexpr int64_t kMaxRun = 8;
// Layouts differ the more the further a token stands from the beginning.
constexpr std::array<int64_t, 6> kPositions = {0, 8, 32, 128, 512, int64_t{1} << 16};

// The first few of them, one after the other.
std::string joined(std::span<const std::string> faults) {
  const std::size_t n_named = std::min(faults.size(), kMaxFaultsNamed);
  std::string text = fmt::format("{}", fmt::join(faults.first(n_named), "; "));
  if (n_named < faults.size()) text += fmt::format("; and {} more", faults.size() - n_named);
  return text;
}

// What does not agree in two forms of a tokenizer; empty if nothing.
std::string form_fault(const Tokenizer& used, const Tokenizer& other, std::string_view name) {
  const std::string difference = token_difference(used, "the tokenizer that is used", other, name);
  if (!difference.empty()) return difference;
  if (used.encode(kRopeText) == other.encode(kRopeText)) return "";
  return fmt::format("the tokenizer that is used and {} cut a text differently", name);
}

// The other forms of the tokenizer that stand in a folder, by name.
std::map<std::string, Tokenizer> tokenizer_forms(const fs::path& folder) {
  std::map<std::string, Tokenizer> forms;
  std::error_code ignored;
  const auto has = [&](const char* name) { return fs::exists(folder / name, ignored); };
  if (has(kVocabFile) && has(kMergesFile))
    forms.emplace("vocab.json with merges.txt",
                  Tokenizer::from_vocab_and_merges(folder / kVocabFile, folder / kMergesFile));
  if (has(kTokenizerFile))
    forms.emplace(kTokenizerFile, Tokenizer::from_tokenizer_json(folder / kTokenizerFile));
  if (has(kHastingsFile)) forms.emplace(kHastingsFile, Tokenizer::from_pickle(folder / kHastingsFile));
  return forms;
}

std::vector<RopePositions> by_position(const RopeLosses& measured) {
  std::vector<RopePositions> ranges;
  for (std::size_t idx = 0; idx + 1 < kPositions.size(); ++idx) {
    RopePositions range = {kPositions[idx], kPositions[idx], 0, {}};
    std::array<double, std::size(kRopeLayouts)> sums{};
    for (std::size_t token = 0; token < measured.positions.size(); ++token) {
      const int64_t pos = measured.positions[token];
      if (pos < kPositions[idx] || pos >= kPositions[idx + 1]) continue;
      ++range.n_predictions;
      range.end = std::max(range.end, pos + 1);
      for (std::size_t layout = 0; layout < sums.size(); ++layout)
        sums[layout] += measured.losses[layout][token];
    }
    if (range.n_predictions == 0) continue;
    for (std::size_t layout = 0; layout < sums.size(); ++layout)
      range.perplexities.push_back(
          {kRopeLayouts[layout], std::exp(sums[layout] / static_cast<double>(range.n_predictions))});
    ranges.push_back(std::move(range));
  }
  return ranges;
}

/// Makes one check after the other; what one finds the next ones use.
class Verifier {
 public:
  Verifier(const fs::path& path, const VerifyOptions& options) : path_(path), options_(options) {}

  VerifyReport run() {
    check("files", [this] { return files(); });
    check("checksums", [this] { return checksums(); });
    check("configuration", [this] { return configuration(); });
    check("weights", [this] { return weights(); });
    check("values", [this] { return values(); });
    check("tokenizer", [this] { return tokenizer(); });
    check("chat template", [this] { return chat_template(); });
    check("rotary layout", [this] { return rope(); });
    check("continuation", [this] { return continuation(); });
    return std::move(report_);
  }

 private:
  struct Outcome {
    CheckResult result;
    std::string text;
  };

  // A fault of the model is a result.
  template <typename Look>
  void check(const char* name, Look look) {
    Outcome outcome;
    try {
      outcome = look();
    } catch (const Error& error) {
      outcome = {kFailed, error.what()};
    }
    report_.checks.push_back({name, outcome.result, std::move(outcome.text)});
  }

  std::function<void(int64_t, int64_t)> progress(std::string_view step) const {
    if (!options_.on_progress) return {};
    return [this, step](int64_t n_done, int64_t n_total) { options_.on_progress(step, n_done, n_total); };
  }

  Outcome files() {
    FilesReport found = report_files(path_, progress("checksums"));
    report_.files = std::move(found.files);
    report_.missing = std::move(found.missing);
    damaged_ = std::move(found.damaged);
    n_compared_ = found.n_compared;
    if (!report_.missing.empty()) return {kFailed, fmt::format("missing: {}", joined(report_.missing))};
    const auto n_used = std::ranges::count_if(report_.files, &VerifiedFile::is_used);
    return {kPassed, fmt::format("{} of the model, nothing is missing", n_used)};
  }

  Outcome checksums() const {
    if (!damaged_.empty()) return {kFailed, joined(damaged_)};
    if (n_compared_ == 0) return {kPassed, "computed; nothing is there to compare them with"};
    return {kPassed, fmt::format("{} files are what the hub announced", n_compared_)};
  }

  Outcome configuration() {
    std::error_code ignored;
    const bool has_config = fs::exists(path_ / kConfigFile, ignored) && !find_torch_file(path_);
    args_ = has_config ? ModelArgs::load(path_ / kConfigFile) : ModelSource::open(path_)->args();
    load_generation_defaults(path_);
    return {kPassed, fmt::format("{} layers, n_embd {}, {} heads of {}, {} of keys, {} tokens, context {}",
                                 args_->n_layer, args_->n_embd, args_->n_head, args_->head_dim(),
                                 args_->n_kv_heads, args_->vocab_size, args_->block_size)};
  }

  Outcome weights() {
    std::vector<std::string> warnings;
    LoadOptions load;
    load.rope_layout = options_.rope_layout;
    load.cache_folder = options_.cache_folder;
    load.n_threads = options_.n_threads;
    load.kernels = options_.kernels;
    load.on_warning = [&warnings](std::string_view message) { warnings.emplace_back(message); };
    model_ = Access::load(path_, load, [this](std::string_view fault) { non_finite_.emplace_back(fault); });
    describe();
    const std::string text = fmt::format("{} tensors, {} weights, {:.2f} bits per weight", report_.n_tensors,
                                         n_weights_, report_.bits_per_weight);
    if (!warnings.empty()) return {kNoted, fmt::format("{}; {}", text, joined(warnings))};
    return {kPassed, text};
  }

  void describe() {
    report_.form = model_->form();
    report_.n_tensors = static_cast<int64_t>(parameter_table(model_->args()).size());
    report_.storage = model_->storage();
    report_.rope = model_->rope();
    int64_t n_bytes = 0;
    for (const Model::Storage& storage : report_.storage) {
      n_weights_ += storage.n_parameters;
      n_bytes += storage.n_bytes;
    }
    report_.bits_per_weight = 8 * static_cast<double>(n_bytes) / static_cast<double>(n_weights_);
  }

  Outcome values() const {
    if (!model_) return {kSkipped, "the model cannot be loaded"};
    if (!non_finite_.empty()) return {kFailed, joined(non_finite_)};
    return {kPassed, "every weight is finite"};
  }

  Outcome tokenizer() {
    Tokenizer found = Tokenizer::load(path_);
    if (args_) check_vocabulary(found, *args_);
    if (found.decode(found.encode(kRopeText)) != kRopeText)
      return {kFailed, "a text does not come back from its tokens"};
    std::string forms;
    std::error_code ignored;
    if (fs::is_directory(path_, ignored))
      for (const auto& [name, other] : tokenizer_forms(path_)) {
        if (std::string fault = form_fault(found, other, name); !fault.empty())
          return {kFailed, std::move(fault)};
        forms += fmt::format("{}{}", forms.empty() ? "; from " : " and ", name);
      }
    tokenizer_ = std::move(found);
    return {kPassed, fmt::format("{} tokens{}{}", tokenizer_->vocab_size(),
                                 args_ ? ", as many as the model has" : "", forms)};
  }

  Outcome chat_template() const {
    check_chat_template(path_);
    return {kPassed, has_chat_template(path_) ? "Lille's" : "none, so Lille's is used"};
  }

  Outcome rope() {
    if (!model_ || !tokenizer_ || !non_finite_.empty())
      return {kSkipped, "it cannot be measured without sound weights and their tokenizer"};
    const RopeLosses losses = measure_rope_losses(
        *model_, *tokenizer_, {options_.n_threads, options_.kernels}, progress("rotary layout"));
    report_.measured_rope = choose_rope_layout(losses);
    report_.rope_positions = by_position(losses);
    const RopeChoice& measured = report_.measured_rope;
    const std::string_view used = rope_layout_name(report_.rope.layout);
    const std::string perplexities = fmt::format("perplexity over {} predictions {}", measured.n_tokens,
                                                 perplexities_text(measured.perplexities));
    if (measured.source != RopeSource::kMeasured) {
      const bool is_named =
          report_.rope.source == RopeSource::kConfig || report_.rope.source == RopeSource::kRequested;
      return {is_named ? kNoted : kFailed,
              fmt::format("{} is used, but no layout is clearly best, as with untrained weights: {}", used,
                          perplexities)};
    }
    if (measured.layout != report_.rope.layout)
      return {kFailed, fmt::format("{} is used, but {} is clearly better: {}", used,
                                   rope_layout_name(measured.layout), perplexities)};
    return {kPassed, fmt::format("{}: {}", used, perplexities)};
  }

  Outcome continuation() {
    if (!model_ || !tokenizer_) return {kSkipped, "it needs the weights and their tokenizer"};
    Session session(*model_, {options_.n_threads, options_.kernels});
    std::vector<int32_t> prompt = tokenizer_->encode(kPrompt);
    if (load_generation_defaults(path_).add_bos_token)
      prompt.insert(prompt.begin(), tokenizer_->bos_token_id());
    report_.prompt = kPrompt;
    StreamOptions stream;
    stream.max_tokens = kContinuationTokens;
    StreamGenerate answer(session, *tokenizer_, prompt, std::move(stream));
    bool is_finite = true;
    int64_t run = 0;
    int64_t longest_run = 0;
    std::optional<int32_t> last;
    while (const std::optional<GenerationResponse> response = answer.next()) {
      report_.continuation += response->text;
      if (!response->token) continue;
      is_finite = is_finite && std::isfinite(response->logprob) &&
                  std::ranges::none_of(response->logprobs, [](float value) { return std::isnan(value); });
      run = response->token == last ? run + 1 : 1;
      longest_run = std::max(longest_run, run);
      last = response->token;
    }
    if (!is_finite) return {kFailed, "log-probabilities that are not finite"};
    if (longest_run >= kMaxRun)
      return {kFailed, fmt::format("the same token {} times in a row: \"{}\"", longest_run, shown())};
    if (!is_valid_utf8(report_.continuation)) return {kFailed, fmt::format("no UTF-8: \"{}\"", shown())};
    if (report_.continuation.empty()) return {kNoted, fmt::format("nothing follows \"{}\"", kPrompt)};
    return {kPassed, fmt::format("\"{}\" goes on \"{}\"", kPrompt, shown())};
  }

  std::string shown() const { return printable(report_.continuation, 60); }

  const fs::path& path_;
  const VerifyOptions& options_;
  VerifyReport report_;
  std::vector<std::string> damaged_;
  int64_t n_compared_ = 0;
  int64_t n_weights_ = 0;
  std::optional<ModelArgs> args_;
  std::optional<Model> model_;
  std::vector<std::string> non_finite_;
  std::optional<Tokenizer> tokenizer_;
};

}  // namespace

std::string_view check_result_name(CheckResult result) noexcept {
  constexpr std::array<std::string_view, 4> kNames = {"ok", "note", "FAILED", "skipped"};
  return kNames[static_cast<std::size_t>(result)];
}

bool VerifyReport::is_well() const noexcept {
  return std::ranges::all_of(
      checks, [](const Check& check) { return check.result == kPassed || check.result == kNoted; });
}

VerifyReport verify_model(const std::filesystem::path& path, const VerifyOptions& options) {
  kernels::select_kernel_table(options.kernels);
  if (options.n_threads != 0) ThreadPool(options.n_threads);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    raise(ErrorCode::kNotFound, "[verify] {}: expected a model, got nothing there. Hint: is the path right?",
          printable_path(path));
  return Verifier(path, options).run();
}

}  // namespace lille
