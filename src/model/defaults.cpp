#include "lille/defaults.h"

#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "io/json.h"

namespace lille {
namespace {

constexpr std::size_t kMaxFileBytes = 16 << 20;

// The object in a JSON file, or an empty one where there is no file.
nlohmann::json read_object(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return nlohmann::json::object();
  return parse_json_object(read_text_file(path, kMaxFileBytes),
                           {"load_generation_defaults", printable_path(path)});
}

// What may stand in a folder's file, as its message says it.
struct Range {
  double min;
  double max;
  bool includes_min = true;
};

// The value of a key, or `fallback` where it is absent or null.
template <typename Number>
Number number_in(const nlohmann::json& object, const char* key, Number fallback, const Range& range,
                 const std::filesystem::path& path) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  constexpr bool kIsWhole = std::is_integral_v<Number>;
  const bool is_of_its_kind = kIsWhole ? found->is_number_integer() : found->is_number();
  const double value = is_of_its_kind ? found->template get<double>() : -1;
  const bool fits = value <= range.max && (range.includes_min ? value >= range.min : value > range.min);
  if (!is_of_its_kind || !fits)
    raise(ErrorCode::kCorruptFile, "[load] {}: {}: expected a {}{} {} to {}, got {}", printable_path(path),
          key, kIsWhole ? "whole number" : "number", range.includes_min ? " from" : " above", range.min,
          range.max, describe(*found));
  return found->template get<Number>();
}

GenerationDefaults read_folder(const std::filesystem::path& folder) {
  GenerationDefaults defaults;
  const std::filesystem::path generation = folder / kGenerationConfigFile;
  const nlohmann::json sampling = read_object(generation);
  const auto read = [&](auto& field, const char* key, const Range& range) {
    field = number_in(sampling, key, field, range, generation);
  };
  read(defaults.temperature, "temperature", {0, 1e6});
  read(defaults.top_p, "top_p", {0, 1});
  read(defaults.top_k, "top_k", {0, 1e9});
  read(defaults.min_p, "min_p", {0, 1});
  read(defaults.repetition_penalty, "repetition_penalty", {0, 1e6, false});

  // transformers takes the likeliest token when sampling is switched off, whatever the temperature.
  if (sampling.value("do_sample", nlohmann::json(true)) == nlohmann::json(false)) defaults.temperature = 0;

  const std::filesystem::path tokenizer = folder / kTokenizerConfigFile;
  const nlohmann::json config = read_object(tokenizer);
  const auto add_bos = config.find("add_bos_token");
  if (add_bos == config.end() || add_bos->is_null()) return defaults;
  if (!add_bos->is_boolean())
    raise(ErrorCode::kCorruptFile, "[load] {}: add_bos_token: expected true or false, got a {}",
          printable_path(tokenizer), add_bos->type_name());
  defaults.add_bos_token = add_bos->get<bool>();
  return defaults;
}

// llama.cpp's keys for what generation_config.json and tokenizer_config.json say.
GenerationDefaults read_gguf(const GgufFile& file) {
  GenerationDefaults defaults;
  const auto read = [&file]<typename Number>(Number& field, std::string_view key, const Range& range) {
    std::optional<double> value;
    if constexpr (std::is_integral_v<Number>) {
      const std::optional<uint64_t> whole = file.whole(key);
      if (whole) value = static_cast<double>(*whole);
    } else {
      value = file.real(key);
    }
    if (!value) return;
    if (!(*value >= range.min && *value <= range.max) || (!range.includes_min && *value == range.min))
      raise(ErrorCode::kCorruptFile, "[load] {}: {}: expected a number {} {} to {}, got {}",
            printable_path(file.path()), key, range.includes_min ? "from" : "above", range.min, range.max,
            *value);
    field = static_cast<Number>(*value);
  };
  read(defaults.temperature, "general.sampling.temp", {0, 1e6});
  read(defaults.top_p, "general.sampling.top_p", {0, 1});
  read(defaults.top_k, "general.sampling.top_k", {0, 1e9});
  read(defaults.min_p, "general.sampling.min_p", {0, 1});
  read(defaults.repetition_penalty, "general.sampling.penalty_repeat", {0, 1e6, false});
  defaults.add_bos_token = file.boolean("tokenizer.ggml.add_bos_token").value_or(defaults.add_bos_token);
  return defaults;
}

}  // namespace

GenerationDefaults load_generation_defaults(const std::filesystem::path& model) {
  if (GgufFile::is_gguf(model)) return read_gguf(GgufFile(model));
  std::error_code ignored;
  return read_folder(std::filesystem::is_regular_file(model, ignored) ? model.parent_path() : model);
}

void save_generation_defaults(const std::filesystem::path& folder, const GenerationDefaults& defaults,
                              const Tokenizer& tokenizer) {
  // Through the shortest decimal of the float32.
  const auto shortest = [](float value) { return std::stod(fmt::format("{}", value)); };
  nlohmann::ordered_json config = {{"bos_token_id", tokenizer.bos_token_id()},
                                   {"eos_token_id", {tokenizer.eos_token_id(), tokenizer.user_token_id()}},
                                   {"pad_token_id", tokenizer.pad_token_id()},
                                   {"do_sample", defaults.temperature > 0}};
  if (defaults.temperature > 0) {
    config["temperature"] = shortest(defaults.temperature);
    config["top_p"] = shortest(defaults.top_p);
    // Said even where it is off, since transformers has 50 for what is not there.
    config["top_k"] = defaults.top_k;
    if (defaults.min_p > 0) config["min_p"] = shortest(defaults.min_p);
  }
  if (defaults.repetition_penalty != 1) config["repetition_penalty"] = shortest(defaults.repetition_penalty);
  AtomicFile file(folder / kGenerationConfigFile);
  file.write(config.dump(2) + "\n");
  file.commit();
}

}  // namespace lille
