#include "tokenizer/json_events.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "tokenizer/quote.h"

namespace lille {
namespace {

constexpr std::size_t kMaxDepth = 64;

}  // namespace

std::string_view JsonScalar::kind_name() const noexcept {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInteger:
      return "an integer";
    case Kind::kReal:
      return "a number that is no 64-bit integer";
    case Kind::kString:
      return "a string";
  }
  return "a value";
}

bool JsonPath::is(std::initializer_list<std::string_view> keys) const noexcept {
  if (keys.size() != levels_.size()) return false;
  const Level* level = levels_.data();
  for (const std::string_view key : keys) {
    const bool wants_array = key.data() == nullptr;
    if (level->is_array != wants_array || (!wants_array && key != level->key)) return false;
    ++level;
  }
  return true;
}

/// nlohmann's events with the path around them.
class JsonEventReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonEventReader(const std::string& source, JsonVisitor& visitor) : source_(source), visitor_(visitor) {}

  bool null() override { return scalar({.kind = JsonScalar::Kind::kNull}); }
  bool boolean(bool) override { return scalar({.kind = JsonScalar::Kind::kBool}); }
  bool number_integer(number_integer_t value) override {
    return scalar({.kind = JsonScalar::Kind::kInteger, .integer = value});
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return scalar({.kind = JsonScalar::Kind::kReal});
    return scalar({.kind = JsonScalar::Kind::kInteger, .integer = static_cast<int64_t>(value)});
  }
  bool number_float(number_float_t, const string_t&) override {
    return scalar({.kind = JsonScalar::Kind::kReal});
  }
  bool string(string_t& value) override { return scalar({.kind = JsonScalar::Kind::kString, .text = value}); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return begin(false); }
  bool end_object() override { return end(false); }
  bool start_array(std::size_t) override { return begin(true); }
  bool end_array() override { return end(true); }
  bool key(string_t& value) override {
    path_.levels_.back().key.assign(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::json::exception& exception) override {
    // nlohmann numbers an overflow 406; everything else is the text's form.
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected JSON in UTF-8, got {} at byte {}, after {}",
          source_, exception.id == 406 ? "a number that is too large" : "something else", position,
          quote(last_token));
  }

 private:
  bool scalar(const JsonScalar& value) {
    visitor_.on_scalar(path_, value);
    return true;
  }
  bool begin(bool is_array) {
    if (path_.depth() >= kMaxDepth)
      raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected at most {} nested levels, got more", source_,
            kMaxDepth);
    visitor_.on_begin(path_, is_array);
    path_.levels_.push_back({is_array, {}});
    return true;
  }
  bool end(bool is_array) {
    path_.levels_.pop_back();
    visitor_.on_end(path_, is_array);
    return true;
  }

  const std::string& source_;
  JsonVisitor& visitor_;
  JsonPath path_;
};

void read_json_events(std::string_view text, const std::string& source, JsonVisitor& visitor) {
  JsonEventReader reader(source, visitor);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
}

}  // namespace lille
