#include "io/pickle_stack.h"

#include <algorithm>

#include "base/check.h"
#include "io/pickle_opcodes.h"

namespace lille {

using Kind = PickleValue::Kind;

std::string_view PicklePlace::opcode_name() const noexcept {
  return pickle_opcode_name(static_cast<PickleOpcode>(text[opcode_pos]));
}

void PicklePlace::fail(std::string_view what) const {
  raise(ErrorCode::kCorruptFile, "[pickle] {}: at offset {}: {}", source, opcode_pos, what);
}

void PicklePlace::refuse(std::string_view what) const {
  raise(ErrorCode::kUnsupported, "[pickle] {}: at offset {}: {}", source, opcode_pos, what);
}

void PickleStack::push(PickleValue value) {
  if (++n_pushed_ > kMaxValues) place_.fail(fmt::format("expected at most {} values, got more", kMaxValues));
  stack_.push_back(&values_.emplace_back(std::move(value)));
}

void PickleStack::mark() {
  if (marks_.size() >= kMaxValues)
    place_.fail(fmt::format("MARK: expected at most {} open marks, got more", kMaxValues));
  marks_.push_back(stack_.size());
}

PickleValue* PickleStack::pop() {
  if (n_free() == 0)
    place_.fail(fmt::format("{}: expected a value on the stack, got none", place_.opcode_name()));
  PickleValue* value = stack_.back();
  stack_.pop_back();
  return value;
}

void PickleStack::memoize(uint64_t memo_idx) {
  if (n_free() == 0)
    place_.fail(fmt::format("{}: expected a value on the stack, got none", place_.opcode_name()));
  if (memo_idx >= kMaxValues)
    place_.fail(fmt::format("{}: expected a memo index below {}, got {}", place_.opcode_name(), kMaxValues,
                            memo_idx));
  const auto slot = static_cast<std::size_t>(memo_idx);
  if (slot >= memo_.size()) memo_.resize(slot + 1);
  if (memo_[slot] != nullptr)
    place_.fail(
        fmt::format("{}: expected a memo index that is free, got {} again", place_.opcode_name(), memo_idx));
  memo_[slot] = stack_.back();
  ++n_memoized_;
}

void PickleStack::fetch(uint64_t memo_idx, bool is_tree) {
  PickleValue* value = memo_idx < memo_.size() ? memo_[static_cast<std::size_t>(memo_idx)] : nullptr;
  if (value == nullptr)
    place_.fail(
        fmt::format("{}: expected a memo index that was set before, got {}", place_.opcode_name(), memo_idx));
  if (is_tree && value->kind == Kind::kDict)
    place_.refuse(
        fmt::format("{}: expected a dict to stand in one place only, got it again", place_.opcode_name()));
  if (++n_pushed_ > kMaxValues) place_.fail(fmt::format("expected at most {} values, got more", kMaxValues));
  stack_.push_back(value);
}

void PickleStack::close(PickleValue& value) const {
  if (value.depth >= kMaxDepth)
    place_.fail(fmt::format("{}: expected at most {} levels of values in each other, got more",
                            place_.opcode_name(), kMaxDepth));
  value.is_placed = true;
}

// The value is closed before the parent is looked at, so that none can be put into itself either.
void PickleStack::add(PickleValue& parent, const PickleValue* key, PickleValue& value) {
  close(value);
  if (parent.is_placed)
    place_.refuse(fmt::format("{}: expected {} to be filled before it is put into another value or itself",
                              place_.opcode_name(), parent.kind_name()));
  parent.items.push_back({key, &value});
  parent.depth = std::max(parent.depth, value.depth + 1);
}

void PickleStack::make_tuple(std::size_t n_items) {
  if (n_free() < n_items)
    place_.fail(
        fmt::format("{}: expected {} values on the stack, got {}", place_.opcode_name(), n_items, n_free()));
  PickleValue tuple = {.kind = Kind::kTuple, .depth = 1};
  for (std::size_t first = stack_.size() - n_items; first < stack_.size(); ++first)
    add(tuple, nullptr, *stack_[first]);
  stack_.resize(stack_.size() - n_items);
  push(std::move(tuple));
}

std::size_t PickleStack::pop_mark() {
  if (marks_.empty())
    place_.fail(fmt::format("{}: expected a mark on the stack, got none", place_.opcode_name()));
  const std::size_t first = marks_.back();
  marks_.pop_back();
  return first;
}

void PickleStack::make_tuple_above_mark() {
  const std::size_t first = pop_mark();
  make_tuple(stack_.size() - first);
}

void PickleStack::append_items(std::size_t first) {
  for (std::size_t idx = first; idx < stack_.size(); ++idx) add(*stack_[first - 1], nullptr, *stack_[idx]);
  stack_.resize(first);
}

void PickleStack::append() {
  if (n_free() < 2 || peek(1).kind != Kind::kList)
    place_.fail("APPEND: expected a list and a value on the stack");
  append_items(stack_.size() - 1);
}

void PickleStack::append_above_mark() {
  const std::size_t first = pop_mark();
  if (first == (marks_.empty() ? 0 : marks_.back()) || stack_[first - 1]->kind != Kind::kList)
    place_.fail("APPENDS: expected a list below the mark");
  append_items(first);
}

/// Moves the key-value pairs from stack place `first` on into the dict below them.
void PickleStack::set_items(std::size_t first) {
  PickleValue& dict = *stack_[first - 1];
  for (std::size_t key_idx = first; key_idx + 1 < stack_.size(); key_idx += 2) {
    const PickleValue& key = *stack_[key_idx];
    if (key.kind != Kind::kString && key.kind != Kind::kBytes && key.kind != Kind::kInteger)
      place_.fail(fmt::format("{}: expected a str, bytes or an int as a key, got {}", place_.opcode_name(),
                              key.kind_name()));
    add(dict, &key, *stack_[key_idx + 1]);
  }
  stack_.resize(first);
}

void PickleStack::set_item() {
  if (n_free() < 3 || peek(2).kind != Kind::kDict)
    place_.fail("SETITEM: expected a dict, a key and a value on the stack");
  set_items(stack_.size() - 2);
}

void PickleStack::set_items_above_mark() {
  const std::size_t first = pop_mark();
  if ((stack_.size() - first) % 2 != 0)
    place_.fail("SETITEMS: expected pairs of keys and values, got an odd number of values");
  if (first == (marks_.empty() ? 0 : marks_.back()) || stack_[first - 1]->kind != Kind::kDict)
    place_.fail("SETITEMS: expected a dict below the mark");
  set_items(first);
}

Pickle PickleStack::finish() && {
  if (stack_.size() != 1 || !marks_.empty())
    place_.fail(fmt::format("STOP: expected one value on the stack, got {} and {} open marks", stack_.size(),
                            marks_.size()));
  return Pickle(std::move(values_), stack_.back());
}

}  // namespace lille
