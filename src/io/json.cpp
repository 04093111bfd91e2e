#include "io/json.h"

#include <set>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxFaultChars = 160;

/// Refuses what the parser would accept: duplicate names, of which it keeps the last, and deep nesting.
class StrictObjects {
 public:
  explicit StrictObjects(const JsonSource& source) : source_(source) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (static_cast<std::size_t>(depth) > kMaxDepth)
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: expected JSON of at most {} levels, got more. Hint: is the file damaged?",
            source_.action, source_.file, kMaxDepth);
    if (event == json::parse_event_t::object_start) {
      names_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      names_.pop_back();
    } else if (event == json::parse_event_t::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (!names_.back().insert(name).second)
        raise(ErrorCode::kCorruptFile,
              "[{}] {}: expected each name once, got \"{}\" twice. Hint: remove one of the two",
              source_.action, source_.file, printable(name));
    }
    return true;
  }

 private:
  JsonSource source_;
  std::vector<std::set<std::string>> names_;  ///< Of every object that is open, outermost first.
};

/// The parser's own message without its `[json.exception...]` tag.
std::string fault_text(const json::exception& error) {
  std::string_view text = error.what();
  if (const std::size_t tag_end = text.find("] "); tag_end != std::string_view::npos)
    text.remove_prefix(tag_end + 2);
  return printable(text, kMaxFaultChars);
}

}  // namespace

json parse_json_object(std::string_view text, const JsonSource& source) {
  json value;
  try {
    value = json::parse(text, StrictObjects(source));
  } catch (const json::exception& error) {
    raise(ErrorCode::kCorruptFile, "[{}] {}: expected JSON, got a {}. Hint: is the file whole?",
          source.action, source.file, fault_text(error));
  }
  if (!value.is_object())
    raise(ErrorCode::kCorruptFile, "[{}] {}: expected a JSON object, got {}. Hint: is this the right file?",
          source.action, source.file, describe(value));
  return value;
}

std::string describe(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace), 40);
}

}  // namespace lille
