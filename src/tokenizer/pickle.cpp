#include "tokenizer/pickle.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/pickle_opcodes.h"

namespace lille {
namespace {

constexpr std::size_t kMaxValues = std::size_t{1} << 20;
constexpr int64_t kMaxDepth = 16;

using Kind = PickleValue::Kind;

/// The machine that a pickle is a program for, with plain data as its only effect.
class PickleReader {
 public:
  PickleReader(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  PickleValue read() {
    if (text_.empty()) fail("expected a pickle, got an empty file");
    if (take_opcode() != PickleOpcode::kProto)
      fail("expected a pickle of protocol 2 to 5 (it begins with PROTO)");
    read_protocol();
    for (PickleOpcode opcode = take_opcode(); opcode != PickleOpcode::kStop; opcode = take_opcode())
      run(opcode);
    if (stack_.size() != 1 || !marks_.empty())
      fail(fmt::format("STOP: expected one value on the stack, got {} and {} open marks", stack_.size(),
                       marks_.size()));
    if (pos_ != text_.size())
      fail(fmt::format("expected the end of the file after STOP, got {} more bytes", text_.size() - pos_));
    return std::move(stack_.back());
  }

 private:
  /// A string, bytes or an integer that was put into the memo. A dict leaves an empty place, since nothing
  /// may fetch it.
  using Memo = std::optional<PickleValue>;

  [[noreturn]] void fail(std::string_view what) const {
    raise(ErrorCode::kCorruptFile, "[pickle] {}: at offset {}: {}", source_, opcode_pos_, what);
  }

  PickleOpcode take_opcode() {
    opcode_pos_ = pos_;
    if (pos_ == text_.size()) fail("expected an opcode, got the end of the file. Hint: the file is cut off");
    return static_cast<PickleOpcode>(text_[pos_++]);
  }

  /// The next n_bytes of the opcode's argument.
  std::string_view take(uint64_t n_bytes) {
    if (n_bytes > text_.size() - pos_)
      fail(fmt::format("{}: expected {} more bytes, got {}. Hint: the file is cut off", opcode_name(),
                       n_bytes, text_.size() - pos_));
    const std::string_view bytes = text_.substr(pos_, static_cast<std::size_t>(n_bytes));
    pos_ += bytes.size();
    return bytes;
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

  std::string_view opcode_name() const {
    return pickle_opcode_name(static_cast<PickleOpcode>(text_[opcode_pos_]));
  }

  void read_protocol() {
    const uint64_t protocol = take_unsigned(1);
    if (protocol < 2 || protocol > 5) fail(fmt::format("PROTO: expected protocol 2 to 5, got {}", protocol));
  }

  void push(PickleValue value) {
    if (++n_values_ > kMaxValues) fail(fmt::format("expected at most {} values, got more", kMaxValues));
    stack_.push_back(std::move(value));
  }
  void push_text(Kind kind, uint64_t n_bytes) {
    const std::string_view text = take(n_bytes);
    if (kind == Kind::kString && !is_valid_utf8(text))
      fail(fmt::format("{}: expected UTF-8, got other bytes", opcode_name()));
    push(PickleValue::of_text(kind, text));
  }
  void push_signed(uint64_t n_bytes);

  /// How many values stand above the last mark, or above the bottom of the stack.
  std::size_t n_free() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  PickleValue& top() {
    if (n_free() == 0) fail(fmt::format("{}: expected a value on the stack, got none", opcode_name()));
    return stack_.back();
  }

  void run(PickleOpcode opcode);
  void frame();
  void memoize(uint64_t memo_idx);
  void fetch(uint64_t memo_idx);
  void set_items(std::size_t first);
  void set_items_above_mark();

  std::string_view text_;
  const std::string& source_;
  std::size_t pos_ = 0;
  std::size_t opcode_pos_ = 0;
  std::size_t n_values_ = 0;
  std::size_t n_memoized_ = 0;
  std::vector<PickleValue> stack_;
  std::vector<std::size_t> marks_;  ///< Heights of the stack.
  std::vector<Memo> memo_;
  std::vector<bool> memo_is_set_;
};

void PickleReader::push_signed(uint64_t n_bytes) {
  if (n_bytes > 8)
    fail(fmt::format("{}: expected an integer of at most 8 bytes, got {}", opcode_name(), n_bytes));
  uint64_t value = take_unsigned(n_bytes);
  const uint64_t n_bits = 8 * n_bytes;
  if (n_bits > 0 && n_bits < 64 && (value >> (n_bits - 1) & 1) != 0) value |= ~uint64_t{0} << n_bits;
  push(PickleValue::of_integer(static_cast<int64_t>(value)));
}

void PickleReader::frame() {
  const uint64_t n_bytes = take_unsigned(8);
  if (n_bytes > text_.size() - pos_)
    fail(fmt::format("FRAME: expected {} more bytes, got {}. Hint: the file is cut off", n_bytes,
                     text_.size() - pos_));
}

void PickleReader::memoize(uint64_t memo_idx) {
  const PickleValue& value = top();
  if (memo_idx >= kMaxValues)
    fail(fmt::format("{}: expected a memo index below {}, got {}", opcode_name(), kMaxValues, memo_idx));
  const auto place = static_cast<std::size_t>(memo_idx);
  if (place >= memo_.size()) {
    memo_.resize(place + 1);
    memo_is_set_.resize(place + 1);
  }
  if (memo_is_set_[place])
    fail(fmt::format("{}: expected a memo index that is free, got {} again", opcode_name(), memo_idx));
  memo_is_set_[place] = true;
  ++n_memoized_;
  if (value.kind() == Kind::kInteger) memo_[place] = PickleValue::of_integer(value.integer());
  if (value.kind() == Kind::kString || value.kind() == Kind::kBytes)
    memo_[place] = PickleValue::of_text(value.kind(), value.text());
}

void PickleReader::fetch(uint64_t memo_idx) {
  if (memo_idx >= memo_.size() || !memo_is_set_[static_cast<std::size_t>(memo_idx)])
    fail(fmt::format("{}: expected a memo index that was set before, got {}", opcode_name(), memo_idx));
  const Memo& memo = memo_[static_cast<std::size_t>(memo_idx)];
  if (!memo)
    raise(ErrorCode::kUnsupported,
          "[pickle] {}: at offset {}: {}: expected a dict to stand in one place only, got it again", source_,
          opcode_pos_, opcode_name());
  push(memo->kind() == Kind::kInteger ? PickleValue::of_integer(memo->integer())
                                      : PickleValue::of_text(memo->kind(), memo->text()));
}

/// Moves the key-value pairs from stack place `first` on into the dict below them.
void PickleReader::set_items(std::size_t first) {
  PickleDict& dict = stack_[first - 1].dict();
  for (std::size_t key_idx = first; key_idx + 1 < stack_.size(); key_idx += 2) {
    PickleValue& key = stack_[key_idx];
    PickleValue& value = stack_[key_idx + 1];
    if (key.kind() == Kind::kDict)
      fail(fmt::format("{}: expected a str, bytes or an int as a key, got a dict", opcode_name()));
    if (value.kind() == Kind::kDict && value.dict().depth() >= kMaxDepth)
      fail(fmt::format("{}: expected at most {} dicts in each other, got more", opcode_name(), kMaxDepth));
    dict.add(std::move(key), std::move(value));
  }
  stack_.erase(stack_.begin() + static_cast<std::ptrdiff_t>(first), stack_.end());
}

void PickleReader::set_items_above_mark() {
  if (marks_.empty()) fail("SETITEMS: expected a mark on the stack, got none");
  const std::size_t first = marks_.back();
  marks_.pop_back();
  if ((stack_.size() - first) % 2 != 0)
    fail("SETITEMS: expected pairs of keys and values, got an odd number of values");
  if (first == (marks_.empty() ? 0 : marks_.back()) || stack_[first - 1].kind() != Kind::kDict)
    fail("SETITEMS: expected a dict below the mark");
  set_items(first);
}

void PickleReader::run(PickleOpcode opcode) {
  switch (opcode) {
    case PickleOpcode::kFrame:
      return frame();
    case PickleOpcode::kMark:
      if (marks_.size() >= kMaxValues)
        fail(fmt::format("MARK: expected at most {} open marks, got more", kMaxValues));
      return marks_.push_back(stack_.size());
    case PickleOpcode::kEmptyDict:
      return push(PickleValue::of_empty_dict());
    case PickleOpcode::kSetItem:
      if (n_free() < 3 || stack_[stack_.size() - 3].kind() != Kind::kDict)
        fail("SETITEM: expected a dict, a key and a value on the stack");
      return set_items(stack_.size() - 2);
    case PickleOpcode::kSetItems:
      return set_items_above_mark();
    case PickleOpcode::kBinInt:
      return push_signed(4);
    case PickleOpcode::kBinInt1:
      return push(PickleValue::of_integer(static_cast<int64_t>(take_unsigned(1))));
    case PickleOpcode::kBinInt2:
      return push(PickleValue::of_integer(static_cast<int64_t>(take_unsigned(2))));
    case PickleOpcode::kLong1:
      return push_signed(take_unsigned(1));
    case PickleOpcode::kShortBinUnicode:
      return push_text(Kind::kString, take_unsigned(1));
    case PickleOpcode::kBinUnicode:
      return push_text(Kind::kString, take_unsigned(4));
    case PickleOpcode::kBinUnicode8:
      return push_text(Kind::kString, take_unsigned(8));
    case PickleOpcode::kShortBinString:
    case PickleOpcode::kShortBinBytes:
      return push_text(Kind::kBytes, take_unsigned(1));
    case PickleOpcode::kBinString:
    case PickleOpcode::kBinBytes:
      return push_text(Kind::kBytes, take_unsigned(4));
    case PickleOpcode::kBinBytes8:
      return push_text(Kind::kBytes, take_unsigned(8));
    case PickleOpcode::kMemoize:
      return memoize(n_memoized_);
    case PickleOpcode::kBinPut:
      return memoize(take_unsigned(1));
    case PickleOpcode::kLongBinPut:
      return memoize(take_unsigned(4));
    case PickleOpcode::kBinGet:
      return fetch(take_unsigned(1));
    case PickleOpcode::kLongBinGet:
      return fetch(take_unsigned(4));
    default:
      raise(ErrorCode::kUnsupported,
            "[pickle] {}: at offset {}: expected plain data (dict, str, bytes, int), got the opcode {}. "
            "Hint: pickles that "
            "import or call anything are never run",
            source_, opcode_pos_, opcode_name());
  }
}

}  // namespace

PickleValue::PickleValue() = default;
PickleValue::PickleValue(PickleValue&&) noexcept = default;
PickleValue& PickleValue::operator=(PickleValue&&) noexcept = default;
PickleValue::~PickleValue() = default;

PickleValue PickleValue::of_integer(int64_t integer) {
  PickleValue value;
  value.integer_ = integer;
  return value;
}

PickleValue PickleValue::of_text(Kind kind, std::string_view text) {
  PickleValue value;
  value.kind_ = kind;
  value.text_ = text;
  return value;
}

PickleValue PickleValue::of_empty_dict() {
  PickleValue value;
  value.kind_ = Kind::kDict;
  value.dict_ = std::make_unique<PickleDict>();
  return value;
}

std::string_view PickleValue::kind_name() const noexcept {
  switch (kind_) {
    case Kind::kInteger:
      return "an int";
    case Kind::kString:
      return "a str";
    case Kind::kBytes:
      return "bytes";
    case Kind::kDict:
      return "a dict";
  }
  return "a value";
}

const PickleValue* PickleDict::find(std::string_view key) const noexcept {
  const auto item = std::find_if(items_.rbegin(), items_.rend(), [&](const Item& candidate) {
    return candidate.key.kind() == PickleValue::Kind::kString && candidate.key.text() == key;
  });
  return item == items_.rend() ? nullptr : &item->value;
}

void PickleDict::add(PickleValue key, PickleValue value) {
  if (value.kind() == PickleValue::Kind::kDict) depth_ = std::max(depth_, value.dict().depth() + 1);
  items_.push_back({std::move(key), std::move(value)});
}

PickleValue parse_pickle(std::string_view text, const std::string& source) {
  return PickleReader(text, source).read();
}

}  // namespace lille
