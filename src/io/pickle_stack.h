#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "io/pickle.h"

namespace lille {

/// Where a reader stands in a pickle, for messages.
struct PicklePlace {
  std::string_view text;
  const std::string& source;
  std::size_t opcode_pos = 0;

  std::string_view opcode_name() const noexcept;
  /// @throws Error(kCorruptFile) with the file, the offset and `what`.
  [[noreturn]] void fail(std::string_view what) const;
  /// @throws Error(kUnsupported) likewise.
  [[noreturn]] void refuse(std::string_view what) const;
};

/// The stack, the marks and the memo of the machine that a pickle is a program for. Values that stand in
/// another stay as they are, so that none can come to stand in itself.
class PickleStack {
 public:
  static constexpr std::size_t kMaxValues = std::size_t{1} << 20;
  static constexpr int64_t kMaxDepth = 16;

  explicit PickleStack(const PicklePlace& place) : place_(place) {}

  void push(PickleValue value);
  void mark();
  /// The topmost value above the last mark, which goes.
  PickleValue* pop();
  /// How many values stand above the last mark, or above the bottom.
  std::size_t n_free() const noexcept { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  /// The value `n_above` places below the topmost; there are more than n_above.
  PickleValue& peek(std::size_t n_above) noexcept { return *stack_[stack_.size() - 1 - n_above]; }

  void memoize(uint64_t memo_idx);
  void memoize_next() { memoize(n_memoized_); }
  /// @param is_tree  refuse dicts, which then stand in one place only.
  void fetch(uint64_t memo_idx, bool is_tree);

  /// Replaces the n_items topmost values, or those above the mark, by a tuple of them.
  void make_tuple(std::size_t n_items);
  void make_tuple_above_mark();
  /// Moves values into the list or the dict below them.
  void append();
  void append_above_mark();
  void set_item();
  void set_items_above_mark();
  /// Puts a value into `parent`, under a key or without one.
  void add(PickleValue& parent, const PickleValue* key, PickleValue& value);

  /// The end of the pickle: the one value that is left.
  Pickle finish() &&;

 private:
  std::size_t pop_mark();
  void set_items(std::size_t first);
  void append_items(std::size_t first);
  void close(PickleValue& value) const;

  const PicklePlace& place_;
  std::deque<PickleValue> values_;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;  ///< Heights of the stack.
  std::vector<PickleValue*> memo_;  ///< Null where nothing was put.
  std::size_t n_pushed_ = 0;
  std::size_t n_memoized_ = 0;
};

}  // namespace lille
