#include <fmt/format.h>

#include <memory>

#include "base/check.h"
#include "cli/cli.h"
#include "io/safetensors.h"

namespace lille::cli {
namespace {

struct LogitsArguments {
  std::vector<std::string> ids;
  std::vector<std::string> prompts;
  std::string output;
  bool bos = false;
  bool hidden = false;
  ModelOptions model;
  ComputeOptions compute;
};

// Keeps every hidden state of a pass: (n_layer + 2), each (n_rows, n_embd).
class HiddenStates : public Observer {
 public:
  void hidden_state(int64_t, std::span<const float> values) override {
    states.emplace_back(values.begin(), values.end());
  }

  std::vector<std::vector<float>> states;
};

std::vector<std::vector<int32_t>> read_rows(const LogitsArguments& arguments, const Model& model) {
  std::vector<std::vector<int32_t>> rows;
  for (const std::string& ids : arguments.ids) rows.push_back(parse_ids(ids, "--ids"));
  if (arguments.prompts.empty()) return rows;
  const Tokenizer tokenizer = load_tokenizer(model);
  for (const std::string& prompt : arguments.prompts) {
    check_utf8(prompt, "--prompt");
    std::vector<int32_t> ids = tokenizer.encode(prompt);
    if (arguments.bos) ids.insert(ids.begin(), tokenizer.bos_token_id());
    if (ids.empty()) raise(ErrorCode::kInvalidArgument, "--prompt: expected a text, got an empty one");
    rows.push_back(std::move(ids));
  }
  return rows;
}

std::string hidden_name(std::size_t hidden_idx, std::size_t n_hidden) {
  return hidden_idx + 1 == n_hidden ? "hidden_norm" : fmt::format("hidden_{}", hidden_idx);
}

// A part of a pass as a tensor: rows [first, first + n) of (any, n_cols).
TensorToSave slice(std::string name, std::span<const float> values, int64_t first, int64_t n,
                   int64_t n_cols) {
  const auto part =
      values.subspan(static_cast<std::size_t>(first * n_cols), static_cast<std::size_t>(n * n_cols));
  return {std::move(name), DType::kF32, {n, n_cols}, std::as_bytes(part)};
}

void save(const LogitsArguments& arguments, std::span<const std::vector<int32_t>> rows, const Logits& logits,
          const HiddenStates& hidden, int64_t n_embd) {
  std::vector<TensorToSave> tensors;
  int64_t first = 0;
  for (std::size_t row_idx = 0; row_idx < rows.size(); ++row_idx) {
    const std::string suffix = rows.size() == 1 ? "" : fmt::format(".{}", row_idx);
    const auto n_tokens = static_cast<int64_t>(rows[row_idx].size());
    tensors.push_back({"ids" + suffix, DType::kI32, {n_tokens}, std::as_bytes(std::span(rows[row_idx]))});
    tensors.push_back(slice("logits" + suffix, logits.values, first, n_tokens, logits.vocab_size));
    for (std::size_t hidden_idx = 0; hidden_idx < hidden.states.size(); ++hidden_idx)
      tensors.push_back(slice(hidden_name(hidden_idx, hidden.states.size()) + suffix,
                              hidden.states[hidden_idx], first, n_tokens, n_embd));
    first += n_tokens;
  }
  save_safetensors(arguments.output, tensors);
}

void run_logits(const LogitsArguments& arguments, const Environment& environment) {
  if (arguments.ids.empty() && arguments.prompts.empty())
    raise(ErrorCode::kInvalidArgument, "logits: expected --ids or --prompt. Hint: lille logits --help");
  const Model model = load_model(arguments.model, environment);
  const std::vector<std::vector<int32_t>> rows = read_rows(arguments, model);
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  std::vector<PromptCache> caches;
  caches.reserve(rows.size());
  std::vector<BatchItem> batch;
  for (const std::vector<int32_t>& ids : rows) {
    caches.push_back(make_prompt_cache(session));
    batch.push_back({ids, &caches.back(), LogitsFor::kAll});
  }
  HiddenStates hidden;
  const Logits logits = session.forward(batch, {{}, {}, arguments.hidden ? &hidden : nullptr});
  save(arguments, rows, logits, hidden, model.args().n_embd);
}

}  // namespace

void add_logits(CLI::App& program, const Environment& environment) {
  CLI::App* command =
      program.add_subcommand("logits", "Writes the logits of every token of a text to a safetensors file.");
  const auto arguments = std::make_shared<LogitsArguments>();
  command
      ->add_option("--ids", arguments->ids, "Token ids with commas between them; repeat it for several rows.")
      ->type_name("IDS")
      ->allow_extra_args(false);
  command->add_option("--prompt", arguments->prompts, "A text instead of ids; repeat it for several rows.")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command
      ->add_option("--output", arguments->output,
                   "File to write: ids I32 [T] and logits F32 [T, vocab_size]; of several "
                   "rows ids.0, logits.0, ids.1 and so on.")
      ->type_name("FILE")
      ->required();
  command->add_flag("--hidden", arguments->hidden,
                    "Also hidden_0 (embedding) to hidden_{n_layer} and hidden_norm, F32 [T, n_embd].");
  command->add_flag("--bos", arguments->bos, "Begin each --prompt with <|startoftext|>. Default: no.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille logits --ids 1,2,3 --output logits.safetensors --hidden");
  command->callback([arguments, environment] { run_logits(*arguments, environment); });
}

}  // namespace lille::cli
