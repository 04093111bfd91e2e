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
constexpr int kNumberOverflow = 406;  // as the parser counts its exceptions

/// The parser's own message without its `[json.exception...]` tag.
std::string fault_text(const json::exception& error) {
  std::string_view text = error.what();
  if (const std::size_t tag_end = text.find("] "); tag_end != std::string_view::npos)
    text.remove_prefix(tag_end + 2);
  return printable(text, kMaxFaultChars);
}

/// Reads a text without keeping it and refuses what the parser would accept: duplicate names, of which it
/// keeps the last, and deep nesting. (A callback of json::parse could do the same, but with one the parser
/// searches the whole of an object whenever something in it ends: minutes for a header of 50,000 tensors.)
class StrictReader : public nlohmann::json_sax<json> {
 public:
  explicit StrictReader(const JsonSource& source) : source_(source) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return start_level(); }
  bool end_object() override { return end_level(); }
  bool start_array(std::size_t) override { return start_level(); }
  bool end_array() override { return end_level(); }

  bool key(string_t& name) override {
    if (!levels_.back().insert(name).second)
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: expected each name once, got \"{}\" twice. Hint: remove one of the two", source_.action,
            source_.file, printable(name));
    return true;
  }

  bool parse_error(std::size_t, const std::string& token, const json::exception& error) override {
    if (error.id == kNumberOverflow)
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: expected JSON of numbers that a double can hold, up to 1.8e308, got {}. Hint: write "
            "one nearer to 0",
            source_.action, source_.file, printable(token, 40));
    raise(ErrorCode::kCorruptFile, "[{}] {}: expected JSON, got a {}. Hint: is the file whole?",
          source_.action, source_.file, fault_text(error));
  }

 private:
  bool start_level() {
    if (levels_.size() == kMaxDepth)
      raise(ErrorCode::kCorruptFile,
            "[{}] {}: expected JSON of at most {} levels, got more. Hint: is the file damaged?",
            source_.action, source_.file, kMaxDepth);
    levels_.emplace_back();
    return true;
  }

  bool end_level() {
    levels_.pop_back();
    return true;
  }

  JsonSource source_;
  std::vector<std::set<std::string>> levels_;  ///< The names of every object that is open, outermost first.
};

}  // namespace

json parse_json_object(std::string_view text, const JsonSource& source) {
  StrictReader reader(source);
  json::sax_parse(text, &reader);
  json value = json::parse(text);
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
