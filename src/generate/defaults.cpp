#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/json.h"
#include "lille/generate.h"

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

float number_in(const nlohmann::json& object, const char* key, float fallback, float largest,
                const std::filesystem::path& path) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  const bool fits = found->is_number() && found->get<double>() >= 0 && found->get<double>() <= largest;
  if (!fits)
    raise(ErrorCode::kCorruptFile, "[load] {}: {}: expected a number from 0 to {}, got {}",
          printable_path(path), key, largest, describe(*found));
  return found->get<float>();
}

}  // namespace

GenerationDefaults load_generation_defaults(const std::filesystem::path& folder) {
  GenerationDefaults defaults;
  const std::filesystem::path generation = folder / "generation_config.json";
  const nlohmann::json sampling = read_object(generation);
  defaults.temperature = number_in(sampling, "temperature", defaults.temperature, 1e6F, generation);
  defaults.top_p = number_in(sampling, "top_p", defaults.top_p, 1, generation);

  // transformers takes the likeliest token when sampling is switched off, whatever the temperature.
  if (sampling.value("do_sample", nlohmann::json(true)) == nlohmann::json(false)) defaults.temperature = 0;

  const std::filesystem::path tokenizer = folder / "tokenizer_config.json";
  const nlohmann::json config = read_object(tokenizer);
  const auto add_bos = config.find("add_bos_token");
  if (add_bos == config.end() || add_bos->is_null()) return defaults;
  if (!add_bos->is_boolean())
    raise(ErrorCode::kCorruptFile, "[load] {}: add_bos_token: expected true or false, got a {}",
          printable_path(tokenizer), add_bos->type_name());
  defaults.add_bos_token = add_bos->get<bool>();
  return defaults;
}

}  // namespace lille
