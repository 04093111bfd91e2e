#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/compiled_grammar.h"

namespace lille {

/// Reads a text byte by byte and knows after each whether a sentence of the grammar can still begin so. It is
/// Earley's algorithm over the network of a CompiledGrammar: left recursion, empty rules and ambiguity cost
/// no more than they must. What the grammar allows next depends on the items of the last set alone, so equal
/// sets are one state, kept with the states that its bytes lead to: a state that comes again costs a table
/// look-up. One thread uses it at a time; a copy has tables of its own.
/// Source: J. Earley, CACM 13(2), 1970; J. Aycock, R. N. Horspool, The Computer Journal 45(6), 2002 (empty
/// rules).
class Matcher {
 public:
  using State = uint32_t;
  /// No sentence begins so.
  static constexpr State kDead = ~State{0};
  /// Most steps of making new states between two begin_work(): some milliseconds.
  static constexpr int64_t kMaxWork = 1'000'000;

  explicit Matcher(std::shared_ptr<const CompiledGrammar> grammar);

  /// Nothing is read.
  State start() const noexcept { return 0; }

  /// Reads a byte.
  /// @param state  not kDead; valid until reset().
  /// @throws Error(kInvalidArgument) after more than kMaxWork: the text has too many readings.
  State next(State state, uint8_t byte) {
    const State known = next_[state * n_classes_ + grammar_->class_of(byte)];
    return known == kUnknown ? find_next(state, grammar_->class_of(byte)) : known;
  }

  /// Whether what was read is a sentence.
  bool is_accepting(State state) const noexcept { return sets_[state].is_accepting; }

  /// States of one kind differ only by how often something came that is repeated up to a bound: of two of
  /// them, the same texts may follow up to as many bytes as the lesser n_alike().
  State kind(State state) const noexcept { return sets_[state].kind; }
  /// CompiledGrammar::kAlways where no other state is of its kind.
  uint32_t n_alike(State state) const noexcept { return sets_[state].n_alike; }

  /// Gives kMaxWork anew, so many times.
  void begin_work(int64_t n_times = 1) noexcept { n_work_ = (1 - n_times) * kMaxWork; }

  /// Bytes of the tables, about.
  std::size_t n_table_bytes() const noexcept;
  /// @throws Error(kInvalidArgument) if the tables are larger: the text has too many readings.
  void check_table_bytes(std::size_t max_bytes) const;
  /// Forgets all states but start().
  void reset();

 private:
  static constexpr State kUnknown = kDead - 1;
  /// Origin of what begins in the set itself.
  static constexpr State kHere = kDead - 2;

  // A position that a byte leaves, and the set in which its rule began.
  struct Item {
    uint32_t position;
    State origin;
    friend auto operator<=>(const Item&, const Item&) = default;
  };
  // A rule that has begun in a set, and where its end leads to.
  struct Wait {
    uint32_t rule;
    Item after;
    friend auto operator<=>(const Wait&, const Wait&) = default;
  };
  struct Set {
    std::size_t items_begin;
    std::size_t waits_begin;
    uint32_t n_items;
    uint32_t n_waits;
    bool is_accepting;
    State kind;
    uint32_t n_alike;
  };
  // A set with each position replaced by the first that is like it.
  using Kind = std::vector<uint64_t>;
  struct KindHash {
    std::size_t operator()(const Kind& kind) const noexcept;
  };

  State find_next(State state, uint8_t byte_class);
  void add(Item item);
  void close();
  void expand(Item item);
  void finish_rule(uint32_t rule, State origin);
  std::pair<const Wait*, const Wait*> waits_for(uint32_t rule, State origin) const;
  void shorten(Wait& wait) const;
  void count_work(std::size_t n_steps);
  uint64_t hash_of_new() const noexcept;
  bool is_new_set(State state) const noexcept;
  State store();
  void find_kind(State state);
  void clear_seen();

  std::shared_ptr<const CompiledGrammar> grammar_;
  std::size_t n_classes_;
  std::vector<Set> sets_;
  std::vector<Item> items_;  // of all sets, sorted within each
  std::vector<Wait> waits_;
  std::vector<State> next_;  // (sets, classes)
  std::unordered_multimap<uint64_t, State> by_hash_;
  std::unordered_map<Kind, State, KindHash> kinds_;  // the first of each
  std::size_t n_kind_bytes_ = 0;
  int64_t n_work_ = 0;

  // The set that is made. seen_ is a table of open addressing; a slot of another stamp is free.
  struct Slot {
    Item item{};
    uint32_t stamp = 0;
  };
  std::vector<Slot> seen_;
  std::size_t n_seen_ = 0;
  uint32_t stamp_ = 0;
  std::vector<Item> open_;
  std::vector<Item> new_items_;
  std::vector<Wait> new_waits_;
  bool new_is_accepting_ = false;
};

}  // namespace lille
