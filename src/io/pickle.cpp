#include "io/pickle.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/pickle_opcodes.h"
#include "io/pickle_stack.h"

namespace lille {
namespace {

using Kind = PickleValue::Kind;

/// The machine that a pickle is a program for, with data as its only effect.
class PickleReader {
 public:
  PickleReader(std::string_view text, const std::string& source, std::span<const PickleGlobal> globals)
      : place_{text, source}, stack_(place_), globals_(globals) {}

  Pickle read() {
    if (place_.text.empty()) place_.fail("expected a pickle, got an empty file");
    if (take_opcode() != PickleOpcode::kProto)
      place_.fail("expected a pickle of protocol 2 to 5 (it begins with PROTO)");
    read_protocol();
    for (PickleOpcode opcode = take_opcode(); opcode != PickleOpcode::kStop; opcode = take_opcode()) {
      if (run_tree(opcode)) continue;
      if (globals_.empty() || !run_object(opcode)) refuse_opcode();
    }
    if (pos_ != place_.text.size())
      place_.fail(fmt::format("expected the end of the file after STOP, got {} more bytes", n_left()));
    return std::move(stack_).finish();
  }

 private:
  std::size_t n_left() const { return place_.text.size() - pos_; }

  PickleOpcode take_opcode() {
    place_.opcode_pos = pos_;
    if (n_left() == 0) place_.fail("expected an opcode, got the end of the file. Hint: the file is cut off");
    return static_cast<PickleOpcode>(place_.text[pos_++]);
  }

  /// The next n_bytes of the opcode's argument.
  std::string_view take(uint64_t n_bytes) {
    if (n_bytes > n_left())
      place_.fail(fmt::format("{}: expected {} more bytes, got {}. Hint: the file is cut off",
                              place_.opcode_name(), n_bytes, n_left()));
    const std::string_view bytes = place_.text.substr(pos_, static_cast<std::size_t>(n_bytes));
    pos_ += bytes.size();
    return bytes;
  }

  /// The argument up to the end of its line.
  std::string_view take_line() {
    const std::size_t end = place_.text.find('\n', pos_);
    if (end == std::string_view::npos)
      place_.fail(fmt::format("{}: expected a line that ends, got {} more bytes. Hint: the file is cut off",
                              place_.opcode_name(), n_left()));
    const std::string_view line = place_.text.substr(pos_, end - pos_);
    pos_ = end + 1;
    return line;
  }

  /// A little-endian unsigned integer of n_bytes <= 8 bytes.
  uint64_t take_unsigned(uint64_t n_bytes) {
    uint64_t value = 0;
    int shift = 0;
    for (const char byte : take(n_bytes)) {
      value |= uint64_t{static_cast<unsigned char>(byte)} << shift;
      shift += 8;
    }
    return value;
  }

  void read_protocol() {
    const uint64_t protocol = take_unsigned(1);
    if (protocol < 2 || protocol > 5)
      place_.fail(fmt::format("PROTO: expected protocol 2 to 5, got {}", protocol));
  }

  void push_text(Kind kind, uint64_t n_bytes) {
    const std::string_view text = take(n_bytes);
    if (kind == Kind::kString && !is_valid_utf8(text))
      place_.fail(fmt::format("{}: expected UTF-8, got other bytes", place_.opcode_name()));
    stack_.push({.kind = kind, .text = text});
  }

  void push_integer(uint64_t value) {
    stack_.push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(value)});
  }
  void push_signed(uint64_t n_bytes);
  void push_float();
  void check_frame();
  void push_global(std::string_view module, std::string_view name);
  void push_global_of_stack();
  void push_persistent();
  void call();
  void set_attributes();
  bool run_tree(PickleOpcode opcode);
  bool run_object(PickleOpcode opcode);
  [[noreturn]] void refuse_opcode() const;

  PicklePlace place_;
  PickleStack stack_;
  std::span<const PickleGlobal> globals_;
  std::size_t pos_ = 0;
};

void PickleReader::push_signed(uint64_t n_bytes) {
  if (n_bytes > 8)
    place_.fail(
        fmt::format("{}: expected an integer of at most 8 bytes, got {}", place_.opcode_name(), n_bytes));
  uint64_t value = take_unsigned(n_bytes);
  const uint64_t n_bits = 8 * n_bytes;
  if (n_bits > 0 && n_bits < 64 && (value >> (n_bits - 1) & 1) != 0) value |= ~uint64_t{0} << n_bits;
  push_integer(value);
}

// The one big-endian number of the format.
void PickleReader::push_float() {
  uint64_t bits = 0;
  for (const char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
  stack_.push({.kind = Kind::kFloat, .real = std::bit_cast<double>(bits)});
}

void PickleReader::check_frame() {
  const uint64_t n_bytes = take_unsigned(8);
  if (n_bytes > n_left())
    place_.fail(
        fmt::format("FRAME: expected {} more bytes, got {}. Hint: the file is cut off", n_bytes, n_left()));
}

void PickleReader::push_global(std::string_view module, std::string_view name) {
  const auto found = std::ranges::find_if(globals_, [&](const PickleGlobal& candidate) {
    return candidate.module == module && candidate.name == name;
  });
  if (found == globals_.end())
    place_.refuse(
        fmt::format("{}: expected a name that weights need, got {}.{}. Hint: a pickle is read as data and "
                    "nothing else is imported; save plain tensors and numbers, or convert the file where it "
                    "is trusted",
                    place_.opcode_name(), printable(module), printable(name)));
  stack_.push({.kind = Kind::kGlobal, .global = &*found});
}

void PickleReader::push_global_of_stack() {
  const PickleValue* name = stack_.pop();
  const PickleValue* module = stack_.pop();
  if (name->kind != Kind::kString || module->kind != Kind::kString)
    place_.fail(fmt::format("STACK_GLOBAL: expected two strs on the stack, got {} and {}",
                            module->kind_name(), name->kind_name()));
  push_global(module->text, name->text);
}

void PickleReader::push_persistent() {
  PickleValue* id = stack_.pop();
  PickleValue persistent = {.kind = Kind::kPersistent};
  stack_.add(persistent, nullptr, *id);
  stack_.push(std::move(persistent));
}

void PickleReader::call() {
  PickleValue* arguments = stack_.pop();
  const PickleValue* callee = stack_.pop();
  if (arguments->kind != Kind::kTuple)
    place_.fail(fmt::format("REDUCE: expected a tuple of arguments, got {}", arguments->kind_name()));
  if (callee->kind != Kind::kGlobal)
    place_.refuse(fmt::format("REDUCE: expected a call of a name that weights need, got one of {}",
                              callee->kind_name()));
  const PickleGlobal& global = *callee->global;
  if (global.use == PickleGlobal::Use::kName)
    place_.refuse(
        fmt::format("REDUCE: expected {}.{} as a name only, got a call", global.module, global.name));
  if (global.use == PickleGlobal::Use::kCall) {
    PickleValue value = {.kind = Kind::kCall, .global = &global};
    stack_.add(value, nullptr, *arguments);
    return stack_.push(std::move(value));
  }
  if (!arguments->items.empty())
    place_.refuse(fmt::format("REDUCE: expected {}.{} without arguments, got {}", global.module, global.name,
                              arguments->items.size()));
  stack_.push({.kind = Kind::kDict, .has_attributes = true, .depth = 1});
}

// The attributes of a state dict are version numbers of its modules, which no weight depends on.
void PickleReader::set_attributes() {
  stack_.pop();
  if (stack_.n_free() == 0 || !stack_.peek(0).has_attributes)
    place_.refuse(fmt::format("BUILD: expected an OrderedDict to set attributes on, got {}",
                              stack_.n_free() == 0 ? "nothing" : stack_.peek(0).kind_name()));
}

/// Runs an opcode of trees of dicts, strings, bytes and integers; false if it is another.
bool PickleReader::run_tree(PickleOpcode opcode) {
  switch (opcode) {
    case PickleOpcode::kFrame:
      return check_frame(), true;
    case PickleOpcode::kMark:
      return stack_.mark(), true;
    case PickleOpcode::kEmptyDict:
      return stack_.push({.kind = Kind::kDict, .depth = 1}), true;
    case PickleOpcode::kSetItem:
      return stack_.set_item(), true;
    case PickleOpcode::kSetItems:
      return stack_.set_items_above_mark(), true;
    case PickleOpcode::kBinInt:
      return push_signed(4), true;
    case PickleOpcode::kBinInt1:
      return push_integer(take_unsigned(1)), true;
    case PickleOpcode::kBinInt2:
      return push_integer(take_unsigned(2)), true;
    case PickleOpcode::kLong1:
      return push_signed(take_unsigned(1)), true;
    case PickleOpcode::kShortBinUnicode:
      return push_text(Kind::kString, take_unsigned(1)), true;
    case PickleOpcode::kBinUnicode:
      return push_text(Kind::kString, take_unsigned(4)), true;
    case PickleOpcode::kBinUnicode8:
      return push_text(Kind::kString, take_unsigned(8)), true;
    case PickleOpcode::kShortBinString:
    case PickleOpcode::kShortBinBytes:
      return push_text(Kind::kBytes, take_unsigned(1)), true;
    case PickleOpcode::kBinString:
    case PickleOpcode::kBinBytes:
      return push_text(Kind::kBytes, take_unsigned(4)), true;
    case PickleOpcode::kBinBytes8:
      return push_text(Kind::kBytes, take_unsigned(8)), true;
    case PickleOpcode::kMemoize:
      return stack_.memoize_next(), true;
    case PickleOpcode::kBinPut:
      return stack_.memoize(take_unsigned(1)), true;
    case PickleOpcode::kLongBinPut:
      return stack_.memoize(take_unsigned(4)), true;
    case PickleOpcode::kBinGet:
      return stack_.fetch(take_unsigned(1), globals_.empty()), true;
    case PickleOpcode::kLongBinGet:
      return stack_.fetch(take_unsigned(4), globals_.empty()), true;
    default:
      return false;
  }
}

/// Runs an opcode of the other data; false if it is another.
bool PickleReader::run_object(PickleOpcode opcode) {
  switch (opcode) {
    case PickleOpcode::kNone:
      return stack_.push({}), true;
    case PickleOpcode::kNewTrue:
    case PickleOpcode::kNewFalse:
      return stack_.push({.kind = Kind::kBool, .integer = opcode == PickleOpcode::kNewTrue}), true;
    case PickleOpcode::kBinFloat:
      return push_float(), true;
    case PickleOpcode::kEmptyTuple:
      return stack_.make_tuple(0), true;
    case PickleOpcode::kTuple1:
      return stack_.make_tuple(1), true;
    case PickleOpcode::kTuple2:
      return stack_.make_tuple(2), true;
    case PickleOpcode::kTuple3:
      return stack_.make_tuple(3), true;
    case PickleOpcode::kTuple:
      return stack_.make_tuple_above_mark(), true;
    case PickleOpcode::kEmptyList:
      return stack_.push({.kind = Kind::kList, .depth = 1}), true;
    case PickleOpcode::kAppend:
      return stack_.append(), true;
    case PickleOpcode::kAppends:
      return stack_.append_above_mark(), true;
    case PickleOpcode::kGlobal: {
      const std::string_view module = take_line();
      return push_global(module, take_line()), true;
    }
    case PickleOpcode::kStackGlobal:
      return push_global_of_stack(), true;
    case PickleOpcode::kBinPersId:
      return push_persistent(), true;
    case PickleOpcode::kReduce:
      return call(), true;
    case PickleOpcode::kBuild:
      return set_attributes(), true;
    default:
      return false;
  }
}

void PickleReader::refuse_opcode() const {
  place_.refuse(
      fmt::format("expected plain data ({}), got the opcode {}. Hint: pickles that import or call "
                  "anything are never run",
                  globals_.empty() ? "dict, str, bytes, int" : "numbers, texts, containers, tensors",
                  place_.opcode_name()));
}

}  // namespace

std::string_view PickleValue::kind_name() const noexcept {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a bool";
    case Kind::kInteger:
      return "an int";
    case Kind::kFloat:
      return "a float";
    case Kind::kString:
      return "a str";
    case Kind::kBytes:
      return "bytes";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dict";
    case Kind::kGlobal:
      return "a class or function";
    case Kind::kCall:
      return "an object";
    case Kind::kPersistent:
      return "a storage";
  }
  return "a value";
}

const PickleValue* PickleValue::find(std::string_view key) const noexcept {
  const auto item = std::find_if(items.rbegin(), items.rend(), [&](const PickleItem& candidate) {
    return candidate.key != nullptr && candidate.key->kind == Kind::kString && candidate.key->text == key;
  });
  return item == items.rend() ? nullptr : item->value;
}

Pickle parse_pickle(std::string_view text, const std::string& source, std::span<const PickleGlobal> globals) {
  return PickleReader(text, source, globals).read();
}

}  // namespace lille
