#include "generate/options.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "generate/options_json.h"
#include "generate/stop_strings.h"
#include "io/json.h"
#include "lille/grammar.h"

namespace lille {
namespace {

constexpr std::string_view kBiasFlag = "--logit-bias";

std::vector<std::string_view> split(std::string_view choices) {
  std::vector<std::string_view> texts;
  while (true) {
    const std::size_t bar = choices.find('|');
    texts.push_back(choices.substr(0, bar));
    if (bar == std::string_view::npos) return texts;
    choices.remove_prefix(bar + 1);
  }
}

template <typename Number>
std::optional<Number> read_number(std::string_view text) {
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

[[noreturn]] void refuse_bias(std::string_view piece) {
  raise(ErrorCode::kInvalidArgument,
        "{}: expected ID:NUMBER with commas between them, or a JSON object of them, got \"{}\"", kBiasFlag,
        printable(piece));
}

void add_bias(std::map<int32_t, float>& biases, std::optional<int32_t> id, std::optional<float> bias,
              std::string_view piece) {
  if (!id || !bias) refuse_bias(piece);
  if (!biases.emplace(*id, *bias).second)
    raise(ErrorCode::kInvalidArgument, "{}: expected each token id once, got {} twice", kBiasFlag, *id);
}

std::map<int32_t, float> parse_bias_object(std::string_view text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) refuse_bias(text);
  // A scalar for each name: all that parse_json_object still has to refuse is a name that stands twice.
  std::map<int32_t, float> biases = biases_from_json(object, kBiasFlag);
  try {
    parse_json_object(text, {"parse_logit_bias", kBiasFlag});
  } catch (const Error& error) {
    raise(ErrorCode::kInvalidArgument, "{}", error.what());
  }
  return biases;
}

}  // namespace

void check_grammar(std::string_view text, std::string_view where) { Grammar::parse(text, where); }

void check_json_schema(std::string_view text, std::string_view where) {
  Grammar::from_json_schema(text, where);
}

std::string flag_of(std::string_view option_name) {
  std::string flag = "--" + std::string(option_name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

bool is_choice(const OptionSpec& spec, std::string_view text) {
  if (spec.choices.empty()) return true;
  const std::vector<std::string_view> choices = split(spec.choices);
  return std::ranges::find(choices, text) != choices.end();
}

std::string choices_text(const OptionSpec& spec) {
  const std::vector<std::string_view> choices = split(spec.choices);
  const auto last = choices.end() - 1;
  return fmt::format("{}{}{}", fmt::join(choices.begin(), last, ", "), last == choices.begin() ? "" : " or ",
                     *last);
}

void check_choice(const OptionSpec& spec, std::string_view text) {
  if (text.empty() || is_choice(spec, text)) return;
  raise_field(spec.name, "{}: expected {}, got \"{}\"", flag_of(spec.name), choices_text(spec),
              printable(text));
}

std::map<int32_t, float> parse_logit_bias(std::string_view text) {
  if (text.starts_with('{')) return parse_bias_object(text);
  std::map<int32_t, float> biases;
  while (true) {
    const std::string_view piece = text.substr(0, text.find(','));
    const std::size_t colon = std::min(piece.find(':'), piece.size());
    add_bias(biases, read_number<int32_t>(piece.substr(0, colon)),
             colon < piece.size() ? read_number<float>(piece.substr(colon + 1)) : std::nullopt, piece);
    if (piece.size() == text.size()) return biases;
    text.remove_prefix(piece.size() + 1);
  }
}

namespace {

LogitsProcessorOptions processor_options(const GenerationOptions& options,
                                         const GenerationDefaults& defaults) {
  LogitsProcessorOptions processors = options.logits_processors;
  processors.repetition_penalty = options.repetition_penalty.value_or(defaults.repetition_penalty);
  // Divides by one: as good as none, and costs nothing when it is none.
  if (processors.repetition_penalty == 1) processors.repetition_penalty = 0;
  // transformers, for which such a file is written, counts all tokens; mlx-lm's commands the last 20.
  const int64_t n_counted = options.repetition_penalty ? processors.repetition_context_size : 0;
  processors.repetition_context_size = options.repetition_context_size.value_or(n_counted);
  return processors;
}

}  // namespace

void add_grammar(LogitsProcessors& processors, std::string_view grammar, std::string_view json_schema,
                 const Tokenizer& tokenizer, std::string_view where) {
  if (grammar.empty() && json_schema.empty()) return;
  if (where.empty()) where = grammar.empty() ? "json_schema" : "grammar";
  processors.add(make_grammar_processor(
      grammar.empty() ? Grammar::from_json_schema(json_schema, where) : Grammar::parse(grammar, where),
      tokenizer));
}

StreamOptions make_stream_options(const GenerationOptions& options, const GenerationDefaults& defaults,
                                  const Tokenizer& tokenizer) {
  SamplerOptions sampler = options.sampler;
  sampler.temperature = options.temperature.value_or(defaults.temperature);
  sampler.top_p = options.top_p.value_or(defaults.top_p);
  sampler.top_k = options.top_k.value_or(defaults.top_k);
  sampler.min_p = options.min_p.value_or(defaults.min_p);
  // As mlx_lm/generate.py: without them XTC would keep an answer from ending and from a new line.
  sampler.xtc_special_tokens = tokenizer.encode("\n");
  sampler.xtc_special_tokens.push_back(tokenizer.eos_token_id());
  sampler.xtc_special_tokens.push_back(tokenizer.user_token_id());

  const std::optional<Overflow> overflow = overflow_from_name(options.overflow);
  if (!overflow)
    raise_field("overflow", "--overflow: expected error, truncate-left or trim-turns, got \"{}\"",
                printable(options.overflow));
  check_stop_strings(options.stop, "--stop");
  if (!options.grammar.empty() && !options.json_schema.empty())
    raise_field("grammar", "--grammar: expected none beside --json-schema, got both");
  if (options.top_logprobs > tokenizer.vocab_size())
    raise_field("top_logprobs", "--top-logprobs: expected 0 to {} (vocab_size), got {}",
                tokenizer.vocab_size(), options.top_logprobs);

  StreamOptions stream;
  stream.max_tokens = options.max_tokens;
  stream.sampler = make_sampler(sampler, tokenizer.vocab_size());
  stream.seed = options.seed.value_or(0);
  stream.logits_processors =
      make_logits_processors(processor_options(options, defaults), tokenizer.vocab_size());
  add_grammar(stream.logits_processors, options.grammar, options.json_schema, tokenizer);
  stream.stop = options.stop;
  stream.top_logprobs = options.top_logprobs;
  stream.overflow = *overflow;
  return stream;
}

}  // namespace lille
