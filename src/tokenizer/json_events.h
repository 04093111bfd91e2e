#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// A value of a JSON text that is neither an object nor an array.
struct JsonScalar {
  enum class Kind { kNull, kBool, kInteger, kReal, kString };

  Kind kind = Kind::kNull;
  int64_t integer = 0;         ///< Of kInteger.
  std::string_view text = {};  ///< Of kString; valid during the call.

  /// "a string", "an integer" and so on, for messages.
  std::string_view kind_name() const noexcept;
};

/// Where in a JSON text an event happens: the objects and arrays around it, outermost first.
class JsonPath {
 public:
  struct Level {
    bool is_array = false;
    std::string key;  ///< The key that is being read; empty in an array.
  };

  /// Stands for "an element of an array" where a key would stand. No key equals it: its data() is null.
  static constexpr std::string_view kElement = {};

  std::size_t depth() const noexcept { return levels_.size(); }
  /// The key of the innermost object.
  std::string_view key() const noexcept { return levels_.empty() ? std::string_view() : levels_.back().key; }
  /// Whether the event is at exactly these keys, outermost first, kElement for each array.
  bool is(std::initializer_list<std::string_view> keys) const noexcept;

 private:
  friend class JsonEventReader;
  std::vector<Level> levels_;
};

/// What read_json_events calls while it reads.
class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;

  virtual void on_scalar(const JsonPath& path, const JsonScalar& value) = 0;
  /// An object or an array begins; `path` does not contain it yet.
  virtual void on_begin(const JsonPath& path, bool is_array) = 0;
  /// An object or an array has ended; `path` does not contain it any more.
  virtual void on_end(const JsonPath& path, bool is_array) = 0;
};

/// Reads a JSON text without keeping it; numbers that fit no int64 are reals.
/// @param source  the file's name, for messages.
/// @throws Error(kCorruptFile) for text that is no JSON, not UTF-8, or nested deeper than 64 levels; whatever
///   the visitor throws.
void read_json_events(std::string_view text, const std::string& source, JsonVisitor& visitor);

}  // namespace lille
