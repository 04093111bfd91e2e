#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// A name that a pickle may import. It stays a name: nothing is ever looked up or called.
struct PickleGlobal {
  /// What may stand around the name.
  enum class Use {
    kName,         ///< The name alone.
    kCall,         ///< A call with any arguments, kept as data.
    kOrderedDict,  ///< A call without arguments, which makes an empty dict with attributes.
  };

  std::string_view module;
  std::string_view name;
  Use use = Use::kName;
};

struct PickleValue;

/// An item of a dict; of a tuple or a list, where the key is null.
struct PickleItem {
  const PickleValue* key = nullptr;
  const PickleValue* value = nullptr;
};

/// A value of a pickle. Texts are views into the pickle.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInteger,
    kFloat,
    kString,
    kBytes,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kCall,
    kPersistent,
  };

  Kind kind = Kind::kNone;
  int64_t integer = 0;                   ///< Of kInteger, and of kBool: 0 or 1.
  double real = 0;                       ///< Of kFloat.
  std::string_view text = {};            ///< Of kString (UTF-8) and kBytes.
  const PickleGlobal* global = nullptr;  ///< Of kGlobal and kCall: the entry of the caller's list.
  /// Of a dict in the order of the pickle (keys are strings, bytes or integers and may repeat), of a tuple
  /// and of a list; of kCall the tuple of arguments, of kPersistent the id.
  std::vector<PickleItem> items = {};
  bool has_attributes = false;  ///< An OrderedDict; what is set on it is dropped.
  bool is_placed = false;       ///< It stands in another value and stays as it is.
  int64_t depth = 0;            ///< Levels of values in each other; 0 for a scalar.

  /// "an int", "a str" and so on, for messages.
  std::string_view kind_name() const noexcept;
  /// The last value of a dict's string key, as Python would have it; null if there is none.
  const PickleValue* find(std::string_view key) const noexcept;
};

/// A pickle that was read: its outermost value and everything that hangs on it.
class Pickle {
 public:
  Pickle(std::deque<PickleValue> values, const PickleValue* root) : values_(std::move(values)), root_(root) {}

  const PickleValue& root() const noexcept { return *root_; }

 private:
  std::deque<PickleValue> values_;
  const PickleValue* root_;
};

/// Reads a pickle as data. Nothing in it ever runs: an import is a name that has to stand in `globals`, a
/// call is kept with its arguments, and every opcode that data do not need is refused.
/// Without `globals` a pickle of protocol 2 to 5 is a tree of dicts, strings, bytes and integers, which is
/// what a tokenizer needs. With them it also has None, booleans, floats, tuples, lists, the globals, their
/// calls and persistent ids, and a value may stand in several places, but never in itself. At most 16 levels
/// and about a million values.
/// @param text     the whole pickle; the result views it.
/// @param source   the file's name, for messages.
/// @param globals  the names it may import; the result points into them.
/// @throws Error(kUnsupported) that names the opcode or the import and its offset; Error(kCorruptFile) that
///   names the offset. Source: Python Lib/pickletools.py.
Pickle parse_pickle(std::string_view text, const std::string& source,
                    std::span<const PickleGlobal> globals = {});

}  // namespace lille
