#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "base/line_reader.h"
#include "base/text.h"
#include "base/utf8.h"
#include "eval/white_space.h"
#include "io/json.h"
#include "lille/multiple_choice.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLineBytes = 16 << 20;
constexpr std::string_view kAction = "read_choice_items";

// One line of a file and where it stands, for messages.
class Line {
 public:
  Line(const std::filesystem::path& path, const LineReader::Line& line)
      : where_(fmt::format("{}, line {}", printable_path(path), line.number)) {
    if (line.is_too_long) fail("", fmt::format("a line of at most {} bytes", kMaxLineBytes), "more");
    fields_ = parse_json_object(line.text, {kAction, where_});
  }

  bool has(const std::string& field) const { return fields_.contains(field); }

  [[noreturn]] void fail(std::string_view field, std::string_view expected, std::string_view got) const {
    raise(ErrorCode::kCorruptFile, "[{}] {}: {}{}expected {}, got {}", kAction, where_, field,
          field.empty() ? "" : ": ", expected, got);
  }

  const json& value(const std::string& field) const {
    const auto found = fields_.find(field);
    if (found == fields_.end()) fail(field, "a value", "none");
    return *found;
  }

  std::string text(const std::string& field) const { return as_text(value(field), field); }

  std::string as_text(const json& value, const std::string& field) const {
    if (!value.is_string()) fail(field, "a text", describe(value));
    return value.get<std::string>();
  }

  std::vector<std::string> texts(const json& array, const std::string& field) const {
    if (!array.is_array()) fail(field, "an array of texts", describe(array));
    std::vector<std::string> texts;
    for (const json& entry : array)
      texts.push_back(as_text(entry, fmt::format("{}[{}]", field, texts.size())));
    return texts;
  }

  // An index, which some files give as a text.
  int64_t index(const std::string& field, std::size_t n_choices) const {
    const json& found = value(field);
    std::optional<int64_t> index;
    if (found.is_number_integer()) index = found.get<int64_t>();
    if (found.is_string())
      for (std::size_t idx = 0; idx < n_choices; ++idx)
        if (found == std::to_string(idx)) index = static_cast<int64_t>(idx);
    if (!index || *index < 0 || *index >= static_cast<int64_t>(n_choices))
      fail(field, fmt::format("an index from 0 to {}", static_cast<int64_t>(n_choices) - 1), describe(found));
    return *index;
  }

  void check_choices(const std::vector<std::string>& choices, const std::string& field) const {
    if (choices.size() < 2) fail(field, "at least two texts", std::to_string(choices.size()));
    for (std::size_t idx = 0; idx < choices.size(); ++idx)
      if (choices[idx].empty()) fail(fmt::format("{}[{}]", field, idx), "a text", "an empty one");
  }

 private:
  std::string where_;
  json fields_;
};

std::string with_replaced(std::string text, std::string_view part, std::string_view replacement) {
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + replacement.size()))
    text.replace(at, part.size(), replacement);
  return text;
}

// Takes out each bracket that is closed on its own line: the regular expression \[.*?\].
std::string without_brackets(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const std::size_t open = text.find('[');
    const std::size_t close = open == std::string_view::npos ? open : text.find_first_of("]\n", open);
    if (close == std::string_view::npos || text[close] == '\n') {
      const std::size_t n_plain = close == std::string_view::npos ? text.size() : close + 1;
      kept += text.substr(0, n_plain);
      text.remove_prefix(n_plain);
      continue;
    }
    kept += text.substr(0, open);
    text.remove_prefix(close + 1);
  }
  return kept;
}

// HellaSwag's texts have marks of the pages they come from.
std::string without_marks(std::string_view text) {
  const std::string plain =
      without_brackets(with_replaced(std::string(without_outer_space(text)), " [title]", ". "));
  return with_replaced(plain, "  ", " ");
}

void append(std::string& text, utf8proc_int32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t n_bytes = utf8proc_encode_char(code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(n_bytes));
}

// Python's str.capitalize.
std::string capitalized(std::string_view text) {
  std::string result;
  for (bool is_first = true; !text.empty(); is_first = false) {
    const Utf8Symbol symbol = first_utf8_symbol(text);
    text.remove_prefix(symbol.n_bytes);
    const auto code_point = static_cast<utf8proc_int32_t>(symbol.code_point);
    append(result, is_first ? utf8proc_totitle(code_point) : utf8proc_tolower(code_point));
  }
  return result;
}

ChoiceItem plain_item(const Line& line) {
  ChoiceItem item = {line.text("context"), line.texts(line.value("choices"), "choices"), 0};
  line.check_choices(item.choices, "choices");
  item.answer = line.index("answer", item.choices.size());
  return item;
}

ChoiceItem hellaswag_item(const Line& line) {
  ChoiceItem item;
  const bool has_parts = line.has("ctx_a") && line.has("ctx_b");
  const std::string label = line.has("activity_label") ? line.text("activity_label") + ": " : "";
  item.context = without_marks(
      label + (has_parts ? line.text("ctx_a") + " " + capitalized(line.text("ctx_b")) : line.text("ctx")));
  for (const std::string& ending : line.texts(line.value("endings"), "endings"))
    item.choices.push_back(without_marks(ending));
  line.check_choices(item.choices, "endings");
  item.answer = line.index("label", item.choices.size());
  return item;
}

std::string as_question(const std::string& text) { return "Question: " + text + "\nAnswer:"; }

ChoiceItem arc_item(const Line& line) {
  const json& choices = line.value("choices");
  if (!choices.is_object() || !choices.contains("text") || !choices.contains("label"))
    line.fail("choices", "an object with text and label", describe(choices));
  ChoiceItem item = {as_question(line.text("question")), line.texts(choices["text"], "choices.text"), 0};
  line.check_choices(item.choices, "choices.text");
  const std::vector<std::string> labels = line.texts(choices["label"], "choices.label");
  if (labels.size() != item.choices.size())
    line.fail("choices.label", fmt::format("{} labels, one for each text", item.choices.size()),
              std::to_string(labels.size()));
  const std::string key = line.text("answerKey");
  const auto found = std::ranges::find(labels, key);
  if (found == labels.end()) line.fail("answerKey", "one of choices.label", printable(key));
  item.answer = found - labels.begin();
  return item;
}

ChoiceItem piqa_item(const Line& line) {
  ChoiceItem item = {as_question(line.text("goal")), {line.text("sol1"), line.text("sol2")}, 0};
  for (const char* field : {"sol1", "sol2"})
    if (line.text(field).empty()) line.fail(field, "a text", "an empty one");
  item.answer = line.index("label", item.choices.size());
  return item;
}

ChoiceItem item_of(const Line& line) {
  if (line.has("endings")) return hellaswag_item(line);
  if (line.has("goal")) return piqa_item(line);
  if (line.has("question")) return arc_item(line);
  if (line.has("context")) return plain_item(line);
  line.fail("",
            "a field context (with choices and answer), endings (HellaSwag), question (ARC) or goal (PIQA)",
            "none of them");
}

bool is_blank(const LineReader::Line& line) {
  return !line.is_too_long && without_outer_space(line.text).empty();
}

}  // namespace

std::vector<ChoiceItem> read_choice_items(const std::filesystem::path& path) {
  std::vector<ChoiceItem> items;
  LineReader reader(path, kMaxLineBytes);
  while (const std::optional<LineReader::Line> line = reader.next())
    if (!is_blank(*line)) items.push_back(item_of(Line(path, *line)));
  if (items.empty())
    raise(ErrorCode::kCorruptFile, "[{}] {}: expected at least one line with a JSON object, got none",
          kAction, printable_path(path));
  return items;
}

}  // namespace lille
