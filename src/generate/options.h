#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "lille/batch.h"
#include "lille/defaults.h"
#include "lille/generate.h"

namespace lille {

/// What is known of one option, once: command-line flags, help, JSON fields and Python keywords come from
/// here. The type of its field says what it takes: a number, a text, several texts (std::vector), yes or no
/// (bool: no unless said; std::optional<bool>: --name and --no-name), or biases by token id (std::map). A
/// std::optional is empty unless it is said.
struct OptionSpec {
  std::string_view name;        ///< "top_p": the JSON field and Python keyword; the flag is --top-p.
  std::string_view alias;       ///< Another flag without dashes, or empty.
  std::string_view value_name;  ///< What stands for the value in the help; empty for yes or no.
  std::string_view
      help;  ///< One sentence; says what holds if the option is absent, where that is no constant.
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  std::string_view choices = {};  ///< "half|original": the texts or numbers allowed; empty: any.
  /// Set if the flag names a file that holds the text: refuses a text that is none of its kind, by the name
  /// `where`. A JSON field is the text, or an object for JSON.
  void (*check_file)(std::string_view text, std::string_view where) = nullptr;
};

/// @throws Error(kInvalidArgument) as Grammar::parse.
void check_grammar(std::string_view text, std::string_view where);
/// @throws Error(kInvalidArgument) as Grammar::from_json_schema.
void check_json_schema(std::string_view text, std::string_view where);

/// "--top-p" for "top_p".
std::string flag_of(std::string_view option_name);

/// How an answer is generated, as a user says it. An absent value falls back to the folder's defaults.
struct GenerationOptions {
  int64_t max_tokens = 256;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<int64_t> top_k;
  std::optional<float> min_p;
  SamplerOptions sampler = {};  ///< All but those above and xtc_special_tokens.
  std::optional<float> repetition_penalty;
  std::optional<int64_t> repetition_context_size;
  LogitsProcessorOptions logits_processors = {};  ///< All but those above.
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::string json_schema;
  std::string grammar;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  std::string overflow = "error";
  std::optional<bool> bos;
};

/// Which model is used and how it is run, as a user says it.
struct ModelOptions {
  std::string model;
  std::string rope;
  int64_t threads = 0;
};

/// What guesses tokens for one answer, as a user says it.
struct DraftOptions {
  std::string draft;
  std::optional<int64_t> num_draft_tokens;
  std::optional<bool> adaptive_draft;
};

/// How a command that runs the model computes.
struct ComputeOptions {
  bool exact = false;
  int64_t kv_bits = 32;
};

/// Calls visit(const OptionSpec&, field&) for each option that says which token is drawn.
template <typename Options, typename Visitor>
void visit_sampler_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"temperature", "temp", "T",
                   "Randomness: 0 takes the most likely token and ignores the options up to --xtc-threshold. "
                   "Default: generation_config.json of the model, else 0.5.",
                   0, 1e6},
        options.temperature);
  visit(
      OptionSpec{
          "top_p", "", "P",
          "Choose among the likeliest tokens that together have this probability; 0 and 1 are off. Default: "
          "generation_config.json of the model, else 0.95.",
          0, 1},
      options.top_p);
  visit(OptionSpec{"top_k", "", "K",
                   "Choose among the K likeliest tokens; 0 is off. Default: generation_config.json of the "
                   "model, else off.",
                   0, 1e9},
        options.top_k);
  visit(OptionSpec{"min_p", "", "P",
                   "Choose among tokens with at least this part of the best token's probability; 0 is off. "
                   "Default: generation_config.json of the model, else off.",
                   0, 1},
        options.min_p);
  visit(OptionSpec{"min_tokens_to_keep", "", "N", "--min-p leaves at least so many of the best tokens.", 1,
                   1e9},
        options.sampler.min_tokens_to_keep);
  visit(OptionSpec{"xtc_probability", "", "P",
                   "How often XTC leaves out all but the least likely of the tokens above --xtc-threshold; 0 "
                   "is off. It never leaves out the newline and the tokens that end an answer.",
                   0, 1},
        options.sampler.xtc_probability);
  visit(OptionSpec{"xtc_threshold", "", "P", "Probability above which XTC takes a token for a likely one.", 0,
                   0.5},
        options.sampler.xtc_threshold);
  visit(
      OptionSpec{
          "seed", "", "N",
          "Seed of the random numbers: the same seed gives the same text. Default: a new one each time."},
      options.seed);
}

/// Calls visit(const OptionSpec&, field&) for each option that changes the logits before a token is drawn.
template <typename Options, typename Visitor>
void visit_logits_processor_options(Options& options, Visitor&& visit) {
  auto& processors = options.logits_processors;
  visit(
      OptionSpec{"repetition_penalty", "", "X",
                 "Logits of tokens that occur are divided by it if positive, else multiplied: above 1 there "
                 "is less repetition; 0 and 1 are off. Default: generation_config.json of the model, else "
                 "off.",
                 0, 1e6},
      options.repetition_penalty);
  visit(OptionSpec{"repetition_context_size", "", "N",
                   "So many of the last tokens, the prompt's too, count for --repetition-penalty; 0: all. "
                   "Default: 20, and all for a penalty of generation_config.json.",
                   0, 1e9},
        options.repetition_context_size);
  visit(OptionSpec{"presence_penalty", "", "X",
                   "Subtracted once from the logit of each token that occurs; 0 is off.", -1e6, 1e6},
        processors.presence_penalty);
  visit(OptionSpec{"presence_context_size", "", "N",
                   "So many of the last tokens, the prompt's too, count for --presence-penalty; 0: all.", 0,
                   1e9},
        processors.presence_context_size);
  visit(OptionSpec{"frequency_penalty", "", "X",
                   "Subtracted from a token's logit for each time it occurs; 0 is off.", -1e6, 1e6},
        processors.frequency_penalty);
  visit(OptionSpec{"frequency_context_size", "", "N",
                   "So many of the last tokens, the prompt's too, count for --frequency-penalty; 0: all.", 0,
                   1e9},
        processors.frequency_context_size);
  visit(
      OptionSpec{
          "logit_bias", "", "ID:X,...",
          "Added to the logits of tokens: 262:-2,11:-inf, or a JSON object, {\"11\":\"-inf\"}; -inf excludes "
          "a token."},
      processors.logit_bias);
}

/// Calls visit(const OptionSpec&, field&) for each option of a GenerationOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, GenerationOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"max_tokens", "", "N", "Most tokens to generate; the context (block_size) may end before.",
                   0, 1e9},
        options.max_tokens);
  visit(OptionSpec{"stop", "", "TEXT",
                   "End the answer before this text, which is not shown; may be given several times."},
        options.stop);
  visit_sampler_options(options, visit);
  visit_logits_processor_options(options, visit);
  visit(OptionSpec{.name = "json_schema",
                   .alias = "",
                   .value_name = "FILE",
                   .help = "Answer with JSON that fulfils this JSON Schema (docs/GRAMMAR.md); "
                           "{\"type\": \"object\"} is any object.",
                   .check_file = check_json_schema},
        options.json_schema);
  visit(OptionSpec{.name = "grammar",
                   .alias = "",
                   .value_name = "FILE",
                   .help = "Answer with a text of this grammar: root ::= \"yes\" | \"no\" (docs/GRAMMAR.md).",
                   .check_file = check_grammar},
        options.grammar);
  visit(OptionSpec{"bos", "", "",
                   "Begin with <|startoftext|>. Default: add_bos_token of tokenizer_config.json, else yes."},
        options.bos);
  visit(
      OptionSpec{"overflow", "", "HOW",
                 "What happens to a prompt longer than the context: error, truncate-left (its oldest tokens "
                 "are left out) or trim-turns (the oldest turns of a chat are).",
                 0, 0, "error|truncate-left|trim-turns"},
      options.overflow);
  visit(OptionSpec{"logprobs", "", "", "In JSON: the log-probability of each token, before filters."},
        options.logprobs);
  visit(OptionSpec{"top_logprobs", "", "N",
                   "In JSON: log-probabilities of the N likeliest tokens at each token, too.", 0, 1000},
        options.top_logprobs);
}

/// Calls visit(const OptionSpec&, field&) for each option of a ModelOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, ModelOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(
      OptionSpec{
          "model", "", "MODEL",
          "Folder with config.json, model.safetensors and tokenizer files, a GGUF file, or "
          "OWNER/NAME[@REVISION] on the Hugging Face hub. Default: the small model that comes with the "
          "program."},
      options.model);
  visit(
      OptionSpec{
          "rope", "", "LAYOUT",
          "Rotary layout: interleaved, half or original. Default: config.json's rope_layout, else measured.",
          0, 0, "interleaved|half|original"},
      options.rope);
  visit(OptionSpec{"threads", "", "N", "Threads to compute with; 0 uses every processor.", 0, 1024},
        options.threads);
}

/// Calls visit(const OptionSpec&, field&) for each option of a ComputeOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, ComputeOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(
      OptionSpec{
          "exact", "", "",
          "Compute with activations in float32; otherwise those that meet quantised weights are rounded "
          "to 8 bits, and those that meet bfloat16 to bfloat16, which is faster."},
      options.exact);
  visit(
      OptionSpec{"kv_bits", "", "BITS",
                 "Bits of a cached key or value: 32, 16 (bfloat16) or 8 (in groups of 32 with a scale each, "
                 "which head_dim must be a multiple of). Fewer need less memory and change predictions a "
                 "little.",
                 8, 32, "32|16|8"},
      options.kv_bits);
}

/// Calls visit(const OptionSpec&, field&) for each option of a DraftOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, DraftOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"draft", "draft_model", "MODEL|lookup",
                   "Guess tokens and check several in one pass, which gives the same answer sooner: with a "
                   "smaller model of the same tokenizer, named as for --model, or with lookup, by what "
                   "followed the last words before. It goes off where it does not pay."},
        options.draft);
  visit(OptionSpec{"num_draft_tokens", "", "N", "Most tokens that --draft guesses at a time. Default: 8.", 1,
                   kMaxDraftTokens},
        options.num_draft_tokens);
  visit(OptionSpec{"adaptive_draft", "", "",
                   "Guess as many as give most tokens a second by measured times, or none; else always "
                   "--num-draft-tokens. Default: yes."},
        options.adaptive_draft);
}

/// Calls visit(const OptionSpec&, field&) for each option of a BatchOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, BatchOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"completion_batch_size", "", "N",
                   "Most prompts that are answered at once. More are faster and need more memory; answers do "
                   "not depend on it.",
                   1, 1024},
        options.completion_batch_size);
  visit(
      OptionSpec{"prefill_batch_size", "", "N", "Most of them whose prompts are read in one pass.", 1, 1024},
      options.prefill_batch_size);
}

/// Whether a text is one of the option's choices, or there are none.
bool is_choice(const OptionSpec& spec, std::string_view text);
/// "interleaved, half or original"; empty without choices.
std::string choices_text(const OptionSpec& spec);

/// @throws Error(kInvalidArgument) that names the flag, the choices and the text, unless the text is empty or
///   one of the choices.
void check_choice(const OptionSpec& spec, std::string_view text);

/// Checks every number of an options struct against its range, and every text against its choices.
/// @throws Error(kInvalidArgument) that names the flag, the range and the value.
template <typename Options>
void check_ranges(const Options& options) {
  visit_options(options, [](const OptionSpec& spec, const auto& field) {
    const auto check = [&spec](auto value) {
      if (!spec.choices.empty()) return check_choice(spec, fmt::format("{}", value));
      // NaN fails both comparisons.
      if (static_cast<double>(value) >= spec.min && static_cast<double>(value) <= spec.max) return;
      raise_field(spec.name, "{}: expected a number from {} to {}, got {}", flag_of(spec.name), spec.min,
                  spec.max, value);
    };
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::string>) {
      check_choice(spec, field);
    } else if constexpr (std::is_arithmetic_v<Field>) {
      check(field);
    } else if constexpr (requires { field.has_value(); }) {
      if (field) check(*field);
    }
  });
}

/// "262:-2,11:-inf" or {"262": -2, "11": "-inf"} as biases by token id.
/// @throws Error(kInvalidArgument) that names the flag and the piece that is none, or the id that stands
///   twice.
std::map<int32_t, float> parse_logit_bias(std::string_view text);

/// Holds an answer to a grammar or to a JSON Schema: the one that is not empty, if one is. To be called last,
/// since no processor after it may bring back what it excludes.
/// @param where  what the text is called in messages; empty: grammar or json_schema.
/// @throws Error(kInvalidArgument) as Grammar::parse and Grammar::from_json_schema.
void add_grammar(LogitsProcessors& processors, std::string_view grammar, std::string_view json_schema,
                 const Tokenizer& tokenizer, std::string_view where = {});

/// How the answer that `options` ask for is made, with the folder's defaults where they say nothing. Without
/// a seed it is 0.
/// @throws Error(kInvalidArgument) as make_sampler and make_logits_processors, for stop strings that are
///   empty or no UTF-8, for more top_logprobs than tokens, for a grammar or schema that cannot be read
///   (lille/grammar.h), and for both.
StreamOptions make_stream_options(const GenerationOptions& options, const GenerationDefaults& defaults,
                                  const Tokenizer& tokenizer);

/// Whether a prompt begins with `<|startoftext|>`: what `options` say, else the folder.
inline bool begins_with_bos(const GenerationOptions& options, const GenerationDefaults& defaults) {
  return options.bos.value_or(defaults.add_bos_token);
}

}  // namespace lille
