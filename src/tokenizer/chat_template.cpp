#include "tokenizer/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "io/json.h"
#include "lille/tokenizer.h"

namespace lille {
namespace {

constexpr std::size_t kMaxTemplateBytes = 16 << 20;

bool is_space(char character) { return character == ' ' || (character >= '\t' && character <= '\r'); }

std::string_view without_leading_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::string_view without_trailing_space(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Writes a template without what does not change its output: comments, spaces in tags but outside of
/// strings, double quotes for single ones, and the text that Jinja leaves out between tags with the settings
/// of transformers: trim_blocks, lstrip_blocks, and no line break at the end. Source: Jinja's documentation,
/// "Whitespace Control"; transformers utils/chat_template_utils.py.
class TemplateNormaliser {
 public:
  explicit TemplateNormaliser(std::string_view text) : rest_(text) {
    if (rest_.ends_with('\n')) rest_.remove_suffix(1);
  }

  std::string run() {
    while (take_text()) take_tag();
    return std::move(result_);
  }

 private:
  /// Takes what stands before the next tag. @returns whether there is one.
  bool take_text() {
    std::size_t n_bytes = 0;
    while (n_bytes < rest_.size() && !is_tag(rest_.substr(n_bytes))) ++n_bytes;
    std::string_view text = rest_.substr(0, n_bytes);
    rest_.remove_prefix(n_bytes);
    if (trims_all_) text = without_leading_space(text);
    if (trims_line_break_ && text.starts_with('\n')) {
      text.remove_prefix(1);
      is_line_start_ = true;
    }
    if (!rest_.empty()) text = before_tag(text);
    result_ += text;
    return !rest_.empty();
  }

  static bool is_tag(std::string_view text) {
    return text.size() > 2 && text[0] == '{' && (text[1] == '{' || text[1] == '%' || text[1] == '#');
  }

  std::string_view before_tag(std::string_view text) const {
    if (rest_[2] == '-') return without_trailing_space(text);
    if (rest_[1] == '{' || rest_[2] == '+') return text;
    const std::size_t line_break = text.rfind('\n');
    if (line_break == text.npos && !is_line_start_) return text;
    const std::size_t line = line_break == text.npos ? 0 : line_break + 1;
    return without_leading_space(text.substr(line)).empty() ? text.substr(0, line) : text;
  }

  void take_tag() {
    const char kind = rest_[1];
    const std::string_view end = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    rest_.remove_prefix(rest_[2] == '-' || rest_[2] == '+' ? 3 : 2);
    std::string tag;
    char quote = 0;
    char mark = 0;
    std::size_t pos = 0;
    for (; pos < rest_.size(); ++pos) {
      const char character = rest_[pos];
      const std::string_view here = rest_.substr(pos);
      if (quote == 0 && (character == '-' || character == '+') && here.substr(1).starts_with(end))
        mark = character;
      else if (quote == 0 && here.starts_with(end))
        break;
      else if (kind != '#')
        append(tag, quote, character);
    }
    rest_.remove_prefix(std::min(pos + end.size(), rest_.size()));
    if (kind != '#') result_ += fmt::format("{{{}{}{}", kind, tag, end);
    trims_all_ = mark == '-';
    trims_line_break_ = mark == 0 && kind != '{';
    is_line_start_ = false;
  }

  /// A string in single quotes; a quote of the other kind in it is marked, so that it does not seem to end
  /// it.
  static void append(std::string& tag, char& quote, char character) {
    if (quote == 0 && is_space(character)) return;
    const bool is_quote = character == '\'' || character == '"';
    if (quote != 0 && is_quote && character != quote)
      tag += '\\';
    else if (is_quote)
      quote = quote == 0 ? character : '\0';
    tag += is_quote ? '\'' : character;
  }

  std::string_view rest_;
  std::string result_;
  bool is_line_start_ = true;      ///< Whether what stands next begins a line.
  bool trims_all_ = false;         ///< Whether the last tag takes the space after it.
  bool trims_line_break_ = false;  ///< Whether it takes a line break.
};

std::string normalised(std::string_view text) { return TemplateNormaliser(text).run(); }

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
  const std::filesystem::path own_file = folder / kChatTemplateFile;
  if (std::filesystem::exists(own_file, ignored))
    return FoundTemplate{read_text_file(own_file, kMaxTemplateBytes), printable_path(own_file)};
  const std::filesystem::path config_file = folder / kTokenizerConfigFile;
  if (!std::filesystem::exists(config_file, ignored)) return std::nullopt;
  const std::string source = printable_path(config_file);
  const nlohmann::json config =
      parse_json_object(read_text_file(config_file, kMaxTemplateBytes), {.action = "chat", .file = source});
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

bool has_chat_template(const std::filesystem::path& model) { return find_template(model).has_value(); }

std::string chat_template_fault(const std::filesystem::path& model) {
  try {
    check_chat_template(model);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
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
