#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "grammar/expression.h"

namespace lille {

class GrammarNetwork;

/// Most of what a grammar may ask for; beyond it is refused by name.
inline constexpr uint32_t kMaxRepetitions = 10'000;           ///< A bound in {m,n}.
inline constexpr std::size_t kMaxGrammarPositions = 100'000;  ///< All rules together.

/// A grammar as the matcher walks through it: a network of positions for each rule. A position is left by a
/// byte, by nothing, or by a whole other rule. Every position leads to the end of its rule, so that what can
/// be begun can be ended, and that end itself leads nowhere. Immutable and shared by threads.
class CompiledGrammar {
 public:
  /// A step over a byte from `first` to `last`.
  struct ByteEdge {
    uint8_t first;
    uint8_t last;
    uint32_t target;
    friend auto operator<=>(const ByteEdge&, const ByteEdge&) = default;
  };
  /// A step over what a rule stands for.
  struct RuleEdge {
    uint32_t rule;
    uint32_t target;
    friend auto operator<=>(const RuleEdge&, const RuleEdge&) = default;
  };
  /// Where its edges stand, each list up to where that of the next position begins.
  struct Position {
    uint32_t bytes_begin;
    uint32_t rules_begin;
    uint32_t empties_begin;
    uint32_t rule;
    bool is_end;  ///< Of its rule.
    /// The first of the positions in a repetition that differ only by how often something came: of two of
    /// them, the same bytes may follow up to as many as the lesser `n_alike`. Others are like themselves
    /// alone.
    uint32_t like;
    uint32_t n_alike;
  };
  static constexpr uint32_t kAlways = std::numeric_limits<uint32_t>::max();

  /// @throws Error(kInvalidArgument), which begins with RuleSet::where, if the rules are more than
  ///   kMaxGrammarPositions, repeat something more than kMaxRepetitions times, or have no finite sentence.
  explicit CompiledGrammar(const RuleSet& rules);

  uint32_t n_positions() const noexcept { return static_cast<uint32_t>(positions_.size() - 1); }
  uint32_t root() const noexcept { return root_; }
  /// The first position of a rule.
  uint32_t begin_of(uint32_t rule) const noexcept { return begins_[rule]; }
  /// Whether a rule may stand for nothing.
  bool is_nullable(uint32_t rule) const noexcept { return nullable_[rule]; }

  const Position& position(uint32_t position) const noexcept { return positions_[position]; }
  const std::vector<ByteEdge>& byte_edges() const noexcept { return byte_edges_; }
  const std::vector<RuleEdge>& rule_edges() const noexcept { return rule_edges_; }
  const std::vector<uint32_t>& empty_edges() const noexcept { return empty_edges_; }

  /// Whether any position is like another one.
  bool has_alike() const noexcept { return has_alike_; }

  /// Bytes of one class stand on the same edges everywhere.
  uint8_t class_of(uint8_t byte) const noexcept { return classes_[byte]; }
  std::size_t n_classes() const noexcept { return representatives_.size(); }
  /// One byte of a class.
  uint8_t representative(uint8_t byte_class) const noexcept { return representatives_[byte_class]; }

 private:
  void find_classes();
  // Those over which the end of a rule can be reached, by node and by rule.
  void take_edges(const GrammarNetwork& network, const std::vector<bool>& node_ends,
                  const std::vector<bool>& rule_ends);

  uint32_t root_ = 0;
  bool has_alike_ = false;
  std::vector<Position> positions_;  // and one more, where the lists end
  std::vector<ByteEdge> byte_edges_;
  std::vector<RuleEdge> rule_edges_;
  std::vector<uint32_t> empty_edges_;
  std::vector<uint32_t> begins_;
  std::vector<bool> nullable_;
  std::array<uint8_t, 256> classes_{};
  std::vector<uint8_t> representatives_;
};

}  // namespace lille
