#include "tokenizer/chat_template.h"

#include <filesystem>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/gguf.h"
#include "io/json.h"
#include "lille/tokenizer.h"

namespace lille {
namespace {

constexpr std::size_t kMaxFileBytes = 16 << 20;
constexpr const char* kTemplateFile = "chat_template.jinja";
constexpr const char* kConfigFile = "tokenizer_config.json";

bool is_space(char character) { return character == ' ' || (character >= '\t' && character <= '\r'); }

/// A template without what does not change its output: spaces outside of strings, double quotes for single
/// ones, and marks that trim the space around a tag.
std::string normalised(std::string_view text) {
  std::string result;
  char quote = 0;
  for (std::size_t pos = 0; pos < text.size(); ++pos) {
    const char character = text[pos];
    if (quote != 0) {
      result += character == quote ? '\'' : character;
      if (character == quote) quote = 0;
      continue;
    }
    if (is_space(character)) continue;
    const bool is_trim_mark =
        character == '-' && ((result.size() >= 2 && result[result.size() - 2] == '{' &&
                              (result.back() == '%' || result.back() == '{')) ||
                             text.substr(pos + 1, 2) == "%}" || text.substr(pos + 1, 2) == "}}");
    if (is_trim_mark) continue;
    if (character == '\'' || character == '"') quote = character;
    result += quote != 0 ? '\'' : character;
  }
  return result;
}

/// A template and the file it stands in.
struct FoundTemplate {
  std::string text;
  std::string source;
};

/// The template named "default" of a list of named ones.
const nlohmann::json* default_of(const nlohmann::json& value) {
  if (!value.is_array()) return &value;
  for (const nlohmann::json& entry : value)
    if (entry.is_object() && entry.value("name", nlohmann::json()) == "default" && entry.contains("template"))
      return &entry["template"];
  return nullptr;
}

std::optional<FoundTemplate> find_template(const std::filesystem::path& model) {
  if (GgufFile::is_gguf(model)) {
    constexpr const char* kKey = "tokenizer.chat_template";
    const GgufFile file(model);
    const auto text = file.text(kKey);
    if (!text) return std::nullopt;
    return FoundTemplate{std::string(*text), fmt::format("{}: {}", printable_path(model), kKey)};
  }
  std::error_code ignored;
  const std::filesystem::path folder =
      std::filesystem::is_directory(model, ignored) ? model : model.parent_path();
  const std::filesystem::path own_file = folder / kTemplateFile;
  if (std::filesystem::exists(own_file, ignored))
    return FoundTemplate{read_text_file(own_file, kMaxFileBytes), printable_path(own_file)};
  const std::filesystem::path config_file = folder / kConfigFile;
  if (!std::filesystem::exists(config_file, ignored)) return std::nullopt;
  const std::string source = printable_path(config_file);
  const nlohmann::json config =
      parse_json_object(read_text_file(config_file, kMaxFileBytes), {.action = "chat", .file = source});
  const auto value = config.find("chat_template");
  if (value == config.end() || value->is_null()) return std::nullopt;
  const nlohmann::json* text = default_of(*value);
  if (text == nullptr || !text->is_string())
    raise(
        ErrorCode::kCorruptFile,
        "[chat] {}: chat_template: expected a text, or a list of texts with one called \"default\", got {}. "
        "Hint: remove the key to chat in Lille's form",
        source, describe(*value));
  return FoundTemplate{text->get<std::string>(), source + ": chat_template"};
}

}  // namespace

bool is_lille_chat_template(std::string_view text) {
  return normalised(text) == normalised(kLilleChatTemplate);
}

void check_chat_template(const std::filesystem::path& model) {
  const std::optional<FoundTemplate> found = find_template(model);
  if (!found || is_lille_chat_template(found->text)) return;
  raise(
      ErrorCode::kUnsupported,
      "[chat] {}: expected Lille's chat form (<|user|>, <|assistant|>), got another template: \"{}\". Hint: "
      "templates are not run; write the prompt as this model wants it and use generate, or remove the "
      "template to chat in Lille's form",
      found->source, printable(found->text, 60));
}

}  // namespace lille
