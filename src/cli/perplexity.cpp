#include "lille/perplexity.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/dtype.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/mapped_file.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

using Json = nlohmann::ordered_json;

struct PerplexityArguments {
  std::string text_file;
  std::string ids_file;
  std::string tokens;
  int64_t window = 0;
  int64_t stride = 0;
  bool bos = false;
  bool json = false;
  ModelOptions model;
  ComputeOptions compute;
};

std::vector<int32_t> read_ids(const PerplexityArguments& arguments,
                              const std::optional<Tokenizer>& tokenizer) {
  if (!arguments.text_file.empty()) {
    const MappedFile file(arguments.text_file);
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    return tokenizer->encode(text);
  }
  const MappedFile file(arguments.ids_file);
  if (file.bytes().size() % 2 != 0)
    raise(ErrorCode::kInvalidArgument,
          "--ids-file: {}: expected two bytes for each id, got an odd number of bytes, {}",
          printable_path(arguments.ids_file), file.bytes().size());
  std::vector<int32_t> ids;
  for (std::size_t offset = 0; offset < file.bytes().size(); offset += 2) {
    const auto low = static_cast<unsigned>(file.bytes()[offset]);
    const auto high = static_cast<unsigned>(file.bytes()[offset + 1]);
    ids.push_back(static_cast<int32_t>(low | (high << 8)));
  }
  return ids;
}

// What was measured, beside the numbers.
struct Measured {
  PerplexityResult result;
  int64_t n_ids = 0;
  std::optional<int64_t> n_bytes;  // of the predicted tokens
  bool bos = false;
  ComputeOptions compute = {};

  int64_t n_predicted() const { return static_cast<int64_t>(result.token_losses.size()); }
  int64_t n_left_out() const { return n_ids - result.first_predicted - n_predicted(); }
  std::optional<double> bits_per_byte() const {
    if (!n_bytes || *n_bytes == 0) return std::nullopt;
    return result.loss * static_cast<double>(n_predicted()) / std::log(2.0) / static_cast<double>(*n_bytes);
  }
};

std::string with_error(double value, double error, int n_digits) {
  if (std::isnan(error)) return fmt::format("{:.{}f}", value, n_digits);
  return fmt::format("{:.{}f} +/- {:.{}f}", value, n_digits, error, n_digits);
}

std::string as_text(const Measured& measured) {
  const PerplexityResult& result = measured.result;
  const std::size_t n_windows = result.window_losses.size();
  std::string text = fmt::format("perplexity {}, loss {} nats a token",
                                 with_error(result.perplexity, result.perplexity * result.loss_error, 4),
                                 with_error(result.loss, result.loss_error, 6));
  if (const std::optional<double> bits = measured.bits_per_byte())
    text += fmt::format(", {:.4f} bits a byte", *bits);
  text +=
      fmt::format(" over {} window{} of {} tokens\n", n_windows, n_windows == 1 ? "" : "s", result.window);
  text += fmt::format("{:>12} {:>9} {:>12}\n", "position", "tokens", "perplexity");
  for (const PerplexityPositions& range : loss_by_position(result))
    text += fmt::format("{:>12} {:>9} {:>12.4f}\n",
                        range.end - range.begin == 1 ? std::to_string(range.begin)
                                                     : fmt::format("{}-{}", range.begin, range.end - 1),
                        range.n_tokens, std::exp(range.loss));
  return text + fmt::format(
                    "protocol: window {}, stride {}, {} <|startoftext|>; {} of {} tokens predicted, each "
                    "once, {} at the end "
                    "left out; mean over tokens; the error takes tokens as independent; {}kv_bits {}\n",
                    result.window, result.stride, measured.bos ? "each window begins with" : "without",
                    measured.n_predicted(), measured.n_ids, measured.n_left_out(),
                    measured.compute.exact ? "exact, " : "", measured.compute.kv_bits);
}

Json as_json(const Measured& measured) {
  const PerplexityResult& result = measured.result;
  const std::optional<double> bits = measured.bits_per_byte();
  Json json = {{"perplexity", result.perplexity},
               {"perplexity_stderr", result.perplexity * result.loss_error},
               {"loss", result.loss},
               {"loss_stderr", result.loss_error},
               {"loss_stderr_windows", result.window_error},
               {"bits_per_byte", bits ? Json(*bits) : Json()},
               {"n_tokens", measured.n_predicted()},
               {"n_bytes", measured.n_bytes ? Json(*measured.n_bytes) : Json()},
               {"windows", result.window_losses.size()},
               {"protocol",
                {{"window", result.window},
                 {"stride", result.stride},
                 {"bos", measured.bos},
                 {"n_ids", measured.n_ids},
                 {"n_left_out", measured.n_left_out()},
                 {"exact", measured.compute.exact},
                 {"kv_bits", measured.compute.kv_bits}}},
               {"positions", Json::array()}};
  for (const PerplexityPositions& range : loss_by_position(result))
    json["positions"].push_back(
        {{"begin", range.begin}, {"end", range.end}, {"n_tokens", range.n_tokens}, {"loss", range.loss}});
  return json;
}

void write_tokens(AtomicFile& file, const Measured& measured, std::span<const int32_t> ids,
                  const std::optional<Tokenizer>& tokenizer) {
  const PerplexityResult& result = measured.result;
  for (std::size_t idx = 0; idx < result.token_losses.size(); ++idx) {
    const int64_t index = result.first_predicted + static_cast<int64_t>(idx);
    const int32_t id = ids[static_cast<std::size_t>(index)];
    Json line = {{"index", index}, {"id", id}};
    if (tokenizer) line["text"] = tokenizer->token_bytes(id);
    line["position"] = result.positions[idx];
    line["loss"] = result.token_losses[idx];
    // A token may be a part of a character.
    file.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

std::optional<int64_t> bytes_of_predicted(const Measured& measured, std::span<const int32_t> ids,
                                          const std::optional<Tokenizer>& tokenizer) {
  if (!tokenizer) return std::nullopt;
  int64_t n_bytes = 0;
  for (const int32_t id : ids.subspan(static_cast<std::size_t>(measured.result.first_predicted),
                                      measured.result.token_losses.size()))
    n_bytes += static_cast<int64_t>(tokenizer->token_bytes(id).size());
  return n_bytes;
}

void run_perplexity(const PerplexityArguments& arguments, const Environment& environment) {
  if (arguments.text_file.empty() == arguments.ids_file.empty())
    raise(ErrorCode::kInvalidArgument,
          "perplexity: expected --text or --ids-file, one of them. Hint: lille perplexity --help");
  const Model model = load_model(arguments.model, environment);
  std::optional<Tokenizer> tokenizer;
  // Ids of a model without a tokenizer have no bytes.
  if (!arguments.text_file.empty() || arguments.bos || Tokenizer::exists(model.path()))
    tokenizer = load_tokenizer(model);
  const std::vector<int32_t> ids = read_ids(arguments, tokenizer);
  std::optional<AtomicFile> tokens_file;
  if (!arguments.tokens.empty()) tokens_file.emplace(arguments.tokens);
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  Measured measured;
  measured.n_ids = static_cast<int64_t>(ids.size());
  measured.bos = arguments.bos;
  measured.compute = arguments.compute;
  {
    Interrupts interrupts;
    ProgressBar bar("perplexity", ProgressBar::kPatience);
    PerplexityOptions options;
    options.window = arguments.window;
    options.stride = arguments.stride;
    if (arguments.bos) options.bos = tokenizer->bos_token_id();
    options.cancel = interrupts.token();
    options.on_progress = [&bar](int64_t n_done, int64_t n_windows) { bar.show(n_done, n_windows); };
    measured.result = perplexity(session, ids, options);
  }
  measured.n_bytes = bytes_of_predicted(measured, ids, tokenizer);
  if (tokens_file) {
    write_tokens(*tokens_file, measured, ids, tokenizer);
    tokens_file->commit();
  }
  print(arguments.json ? as_json(measured).dump() + "\n" : as_text(measured));
}

}  // namespace

void add_perplexity(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "perplexity",
      "Measures how well the model predicts a text: perplexity, its error, bits a byte, by position.");
  const auto arguments = std::make_shared<PerplexityArguments>();
  command->add_option("--text", arguments->text_file, "The text; without --bos <|startoftext|> is not added.")
      ->type_name("FILE");
  command
      ->add_option("--ids-file", arguments->ids_file, "Token ids instead of text: raw little-endian uint16.")
      ->type_name("FILE");
  add_option(
      *command,
      {"window", "", "N", "Tokens that are read from an empty cache; 0: block_size, the most.", 0, 1e9},
      arguments->window)
      ->type_name("N");
  add_option(*command,
             {"stride", "", "N",
              "Tokens from one window to the next; each token is counted in the first window that predicts "
              "it. 0: the "
              "window, no overlap.",
              0, 1e9},
             arguments->stride)
      ->type_name("N");
  command->add_flag("--bos", arguments->bos, "Begin each window with <|startoftext|>, which is not counted.");
  command->add_option("--tokens", arguments->tokens, "Write the loss of each token there, as JSON Lines.")
      ->type_name("PATH");
  command->add_flag("--json", arguments->json, "Print one JSON object.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille perplexity --text README.md --json");
  command->callback([arguments, environment] { run_perplexity(*arguments, environment); });
}

}  // namespace lille::cli
