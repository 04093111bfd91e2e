#include "lille/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/fault_handler.h"
#include "base/mapped_file.h"
#include "cli/cli.h"
#include "io/tensor_view.h"
#include "lille/divergence.h"
#include "lille/generate.h"
#include "model/rope_text.h"
#include "tokenizer/token_difference.h"

namespace lille::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDifferent = 1;

struct DiffArguments {
  std::string a;
  std::string b;
  std::string text_file;
  bool json = false;
  ModelOptions model;
  /// Of both, but that a has kv_bits 32. Exact: else what rounding activations does to one of the forms would
  /// count as a difference of the models.
  ComputeOptions compute = {.exact = true};
};

// A tokenizer, or why there is none.
struct FoundTokenizer {
  std::optional<Tokenizer> tokenizer;
  std::string fault;
};

// Everything that is found before it is printed.
struct Comparison {
  Model a;
  Model b;
  ModelDiff diff;
  FoundTokenizer tokenizer_a;
  FoundTokenizer tokenizer_b;
  std::string token_difference;  // empty: none, or not both have a tokenizer
  std::optional<Divergence> divergence;
  std::string left_out;  // why there is no divergence

  bool is_same() const { return diff.is_same() && token_difference.empty(); }
};

FoundTokenizer find_tokenizer(const Model& model) {
  if (!Tokenizer::exists(model.path()))
    return {{}, fmt::format("{} has no tokenizer", printable_path(model.path()))};
  try {
    return {load_tokenizer(model), ""};
  } catch (const Error& error) {
    return {{}, error.what()};
  }
}

// Why predictions cannot be compared; empty if they can.
std::string prediction_fault(const Comparison& found) {
  const int64_t n_a = found.a.args().vocab_size;
  const int64_t n_b = found.b.args().vocab_size;
  if (n_a != n_b) return fmt::format("the vocabularies have {} and {} tokens", n_a, n_b);
  if (!found.token_difference.empty()) return found.token_difference;
  if (!found.tokenizer_a.tokenizer && !found.tokenizer_b.tokenizer) return found.tokenizer_a.fault;
  return "";
}

std::string read_text(const std::string& path) {
  if (path.empty()) return std::string(kRopeText);
  const MappedFile file(path);
  if (file.bytes().empty())
    raise(ErrorCode::kInvalidArgument, "--text: {}: expected a text, got an empty file",
          printable_path(path));
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

Comparison compare(const DiffArguments& arguments, const Environment& environment) {
  check_ranges(arguments.compute);
  const std::string text = read_text(arguments.text_file);
  ModelOptions options = arguments.model;
  options.model = arguments.a;
  const Model a = load_model(options, environment);
  options.model = arguments.b;
  const Model b = load_model(options, environment);
  Comparison found = {a, b, {}, find_tokenizer(a), find_tokenizer(b), "", {}, ""};
  {
    ProgressBar bar("weights", ProgressBar::kPatience);
    found.diff = diff_models(a, b, {options.threads, [&bar](int64_t n_done, int64_t n_parameters) {
                                      bar.show(n_done, n_parameters);
                                    }});
  }
  if (found.tokenizer_a.tokenizer && found.tokenizer_b.tokenizer)
    found.token_difference =
        token_difference(*found.tokenizer_a.tokenizer, "a", *found.tokenizer_b.tokenizer, "b");
  found.left_out = prediction_fault(found);
  if (!found.left_out.empty()) return found;
  const Tokenizer& tokenizer =
      found.tokenizer_a.tokenizer ? *found.tokenizer_a.tokenizer : *found.tokenizer_b.tokenizer;
  ComputeOptions compute_a = arguments.compute;
  compute_a.kv_bits = 32;
  Session session_a = make_session(a, options, compute_a, environment);
  Session session_b = make_session(b, options, arguments.compute, environment);
  ProgressBar bar("predictions", ProgressBar::kPatience);
  DivergenceOptions divergence_options;
  divergence_options.on_progress = [&bar](int64_t n_done, int64_t n_tokens) { bar.show(n_done, n_tokens); };
  found.divergence = divergence(session_a, session_b, tokenizer.encode(text), divergence_options);
  return found;
}

const ParameterDiff* worst_of(const ModelDiff& diff) {
  const ParameterDiff* worst = nullptr;
  for (const ParameterDiff& parameter : diff.parameters)
    if (parameter.max_error > (worst == nullptr ? 0 : worst->max_error)) worst = &parameter;
  return worst;
}

std::string tokenizer_text(const Comparison& found) {
  if (!found.token_difference.empty()) return found.token_difference;
  const bool has_a = found.tokenizer_a.tokenizer.has_value();
  const bool has_b = found.tokenizer_b.tokenizer.has_value();
  if (has_a && has_b) return "the same";
  if (!has_a && !has_b) return "none in either";
  return fmt::format("only in {}: {}", has_a ? "a" : "b",
                     (has_a ? found.tokenizer_b : found.tokenizer_a).fault);
}

std::string parameter_text(const ParameterDiff& diff) {
  if (diff.shape_b.empty()) return fmt::format("  {} {} only in a\n", diff.name, shape_text(diff.shape_a));
  if (diff.shape_a.empty()) return fmt::format("  {} {} only in b\n", diff.name, shape_text(diff.shape_b));
  if (!diff.is_comparable())
    return fmt::format("  {}: shape {} in a, {} in b\n", diff.name, shape_text(diff.shape_a),
                       shape_text(diff.shape_b));
  return fmt::format("  {}: error {:.4g} at {} ({:.6g}, {:.6g}); rms {:.4g}, {} values differ\n", diff.name,
                     diff.max_error, shape_text(diff.max_error_at), diff.value_a, diff.value_b,
                     diff.rms_error, diff.n_different);
}

// "  12 tensors are BF16 in a, F32 in b"
std::string storage_text(const ModelDiff& diff) {
  std::map<std::pair<std::string, std::string>, int64_t> counted;
  for (const ParameterDiff& parameter : diff.parameters)
    if (parameter.is_comparable() && parameter.dtype_a != parameter.dtype_b)
      ++counted[{parameter.dtype_a, parameter.dtype_b}];
  std::string text;
  for (const auto& [dtypes, n] : counted)
    text += fmt::format("  {} tensor{} {} in a, {} in b\n", n, n == 1 ? " is" : "s are", dtypes.first,
                        dtypes.second);
  return text;
}

std::string summary_text(const Comparison& found) {
  const std::size_t n = found.diff.parameters.size();
  const auto n_different = static_cast<std::size_t>(std::ranges::count_if(
      found.diff.parameters, [](const ParameterDiff& diff) { return !diff.is_same(); }));
  std::string text = fmt::format("tensors: {} of {} differ", n_different, n);
  if (const ParameterDiff* worst = worst_of(found.diff); worst != nullptr)
    text += fmt::format(", the largest error is {:.4g} in {} at {}", worst->max_error, worst->name,
                        shape_text(worst->max_error_at));
  text += "\n";
  if (!found.divergence) return text + fmt::format("predictions: not compared, {}\n", found.left_out);
  const Divergence& measured = *found.divergence;
  return text +
         fmt::format(
             "predictions: KL divergence of b from a {:.4g} nats in the mean, {:.4g} for all but 0.1 %, "
             "{:.4g} at most (after token {}); the likeliest token is the same in {:.2f} % of {} "
             "predictions\n",
             measured.mean, measured.p999, measured.max, measured.max_at, 100 * measured.top1_agreement,
             measured.n_predictions);
}

std::string as_text(const Comparison& found) {
  std::string text = fmt::format("a: {} ({})\nb: {} ({})\n", printable_path(found.a.path()), found.a.form(),
                                 printable_path(found.b.path()), found.b.form());
  text += fmt::format("arguments:{}\n", found.diff.arguments.empty() ? " the same" : "");
  for (const ArgumentDiff& argument : found.diff.arguments)
    text += fmt::format("  {}: {} in a, {} in b\n", argument.name, argument.a, argument.b);
  text += fmt::format("tokenizer: {}\n", tokenizer_text(found));
  const std::string storage = storage_text(found.diff);
  text += fmt::format("types:{}\n{}", storage.empty() ? " the same" : "", storage);
  const bool has_same_tensors = std::ranges::all_of(found.diff.parameters, &ParameterDiff::is_same);
  text += fmt::format("values:{}\n", has_same_tensors ? " the same" : "");
  for (const ParameterDiff& parameter : found.diff.parameters)
    if (!parameter.is_same()) text += parameter_text(parameter);
  return text + summary_text(found) + (found.is_same() ? "the same\n" : "different\n");
}

Json parameter_json(const ParameterDiff& diff) {
  Json object = {{"name", diff.name},
                 {"shape_a", diff.shape_a},
                 {"shape_b", diff.shape_b},
                 {"dtype_a", diff.dtype_a},
                 {"dtype_b", diff.dtype_b}};
  if (!diff.is_comparable()) return object;
  object["n_different"] = diff.n_different;
  object["max_error"] = diff.max_error;
  object["rms_error"] = diff.rms_error;
  if (diff.n_different == 0) return object;
  object["max_error_at"] = diff.max_error_at;
  object["value_a"] = diff.value_a;
  object["value_b"] = diff.value_b;
  return object;
}

Json as_json(const Comparison& found) {
  const auto model = [](const Model& of) {
    return Json{{"path", printable_path(of.path())}, {"form", of.form()}};
  };
  Json object = {{"is_same", found.is_same()}, {"a", model(found.a)}, {"b", model(found.b)}};
  object["arguments"] = Json::object();
  for (const ArgumentDiff& argument : found.diff.arguments)
    object["arguments"][argument.name] = {Json::parse(argument.a), Json::parse(argument.b)};
  object["tokenizer"] = tokenizer_text(found);
  object["tensors"] = Json::array();
  for (const ParameterDiff& parameter : found.diff.parameters)
    object["tensors"].push_back(parameter_json(parameter));
  const ParameterDiff* worst = worst_of(found.diff);
  object["max_error"] = worst == nullptr ? 0 : worst->max_error;
  if (!found.divergence) {
    object["predictions"] = nullptr;
    object["predictions_left_out"] = found.left_out;
    return object;
  }
  object["predictions"] = {{"kl_mean", found.divergence->mean},
                           {"kl_p999", found.divergence->p999},
                           {"kl_max", found.divergence->max},
                           {"kl_max_at", found.divergence->max_at},
                           {"top1_agreement", found.divergence->top1_agreement},
                           {"n_predictions", found.divergence->n_predictions},
                           {"n_windows", found.divergence->n_windows}};
  return object;
}

void run_diff(const DiffArguments& arguments, const Environment& environment) {
  install_fault_handler(kTroubleOfDiff);
  const Comparison found = compare(arguments, environment);
  print(arguments.json ? as_json(found).dump(2) + "\n" : as_text(found));
  if (!found.is_same()) throw ExitCode{kDifferent};
}

}  // namespace

void add_diff(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand("diff",
                                             "Compares two models in any form. Exits with 0 if they are "
                                             "the same, 1 if not, 2 on trouble.");
  const auto arguments = std::make_shared<DiffArguments>();
  for (const auto& [name, field] : {std::pair{"a", &arguments->a}, std::pair{"b", &arguments->b}})
    command->add_option(name, *field, fmt::format("Model {}: all that --model takes elsewhere.", name))
        ->required()
        ->type_name("MODEL");
  command
      ->add_option("--text", arguments->text_file,
                   "Text on which predictions are compared, in windows of block_size tokens; <|startoftext|> "
                   "is not added. Default: a page of English that is built in.")
      ->type_name("FILE");
  command->add_flag("--json", arguments->json, "Print one JSON object, with every tensor.");
  visit_options(arguments->model, [command](const OptionSpec& spec, auto& field) {
    if (spec.name != "model") add_option(*command, spec, field)->type_name(std::string(spec.value_name));
  });
  visit_options(arguments->compute, [command](OptionSpec spec, auto& field) {
    if (spec.name != "kv_bits") return;
    spec.help = "Bits of the keys and values that b caches while it predicts; a has 32.";
    add_choices(*add_option(*command, spec, field)->type_name(std::string(spec.value_name)), spec.choices);
  });
  add_example(*command, "lille diff models/lille-tiny-8bit lille-tiny.gguf");
  command->callback([arguments, environment] { run_diff(*arguments, environment); });
}

}  // namespace lille::cli
