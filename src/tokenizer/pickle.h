#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lille {

class PickleDict;

/// A value of a pickle that is plain data. Strings and bytes are views into the pickle's text.
class PickleValue {
 public:
  enum class Kind { kInteger, kString, kBytes, kDict };

  static PickleValue of_integer(int64_t integer);
  /// @param kind  kString (UTF-8) or kBytes.
  static PickleValue of_text(Kind kind, std::string_view text);
  static PickleValue of_empty_dict();

  PickleValue(PickleValue&&) noexcept;
  PickleValue& operator=(PickleValue&&) noexcept;
  ~PickleValue();

  Kind kind() const noexcept { return kind_; }
  /// "an int", "a str" and so on, for messages.
  std::string_view kind_name() const noexcept;
  /// Of kInteger.
  int64_t integer() const noexcept { return integer_; }
  /// Of kString and kBytes.
  std::string_view text() const noexcept { return text_; }
  /// Of kDict.
  const PickleDict& dict() const noexcept { return *dict_; }
  PickleDict& dict() noexcept { return *dict_; }

 private:
  PickleValue();

  Kind kind_ = Kind::kInteger;
  int64_t integer_ = 0;
  std::string_view text_;
  std::unique_ptr<PickleDict> dict_;
};

/// The items of a dict in the order of the pickle; keys are integers, strings or bytes, and may repeat.
class PickleDict {
 public:
  struct Item {
    PickleValue key;
    PickleValue value;
  };

  /// The last value of a string key, as Python would have it; null if there is none.
  const PickleValue* find(std::string_view key) const noexcept;
  const std::vector<Item>& items() const noexcept { return items_; }
  /// How many dicts stand in each other, this one included.
  int64_t depth() const noexcept { return depth_; }

  /// The key is no dict.
  void add(PickleValue key, PickleValue value);

 private:
  std::vector<Item> items_;
  int64_t depth_ = 1;
};

/// Reads a pickle as data. It knows the opcodes of protocols 2 to 5 that dicts, strings, bytes and integers
/// need; every other opcode is refused, those that import or call anything among them, so nothing in a pickle
/// ever runs. A dict stands in one place only: the result is a tree of at most 16 levels and about a million
/// values.
/// @param text    the whole pickle; the result views it.
/// @param source  the file's name, for messages.
/// @throws Error(kUnsupported) that names the opcode and its offset; Error(kCorruptFile) that names the
///   offset. Source: Python Lib/pickletools.py.
PickleValue parse_pickle(std::string_view text, const std::string& source);

}  // namespace lille
