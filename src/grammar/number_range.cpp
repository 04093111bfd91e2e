#include "grammar/number_range.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::size_t kMaxBounds = 4;
constexpr std::string_view kSigns = "-.0123456789";  // in ascending order

// Reads numbers from left to right and knows of each how it stands to the bounds.
class NumberReader {
 public:
  enum class Phase : uint8_t { kBegin, kSign, kZero, kWhole, kPoint, kFraction };
  // The digits so far beside those of a bound, without signs.
  enum Order : uint8_t { kLess, kEqual, kGreater };

  struct State {
    Phase phase = Phase::kBegin;
    bool is_negative = false;
    bool is_zero = true;
    uint8_t n_digits = 0;  // before the point, or behind it
    std::array<Order, kMaxBounds> orders = {kEqual, kEqual, kEqual, kEqual};
    uint32_t remainder = 0;

    uint64_t key() const {
      uint64_t key = remainder;
      for (const Order order : orders) key = key << 2 | order;
      return ((key << 8 | n_digits) << 8 | static_cast<uint64_t>(phase)) << 2 | (is_negative ? 2u : 0u) |
             (is_zero ? 1u : 0u);
    }
  };

  explicit NumberReader(const NumberRange& range) : range_(range) {
    LILLE_CHECK(range.bounds.size() <= kMaxBounds);
  }

  // Nothing if no number goes on like this.
  std::optional<State> next(State state, char sign) const {
    if (sign == '-') {
      if (state.phase != Phase::kBegin) return std::nullopt;
      state.phase = Phase::kSign;
      state.is_negative = true;
      return state;
    }
    if (sign != '.') return next_digit(state, sign);
    if ((state.phase != Phase::kZero && state.phase != Phase::kWhole) || range_.is_integer)
      return std::nullopt;
    if (range_.multiple && range_.multiple->n_fraction_digits == 0) return std::nullopt;
    end_whole(state);
    state.phase = Phase::kPoint;
    state.n_digits = 0;
    return kept(state);
  }

  bool is_accepting(State state) const {
    if (state.phase == Phase::kZero || state.phase == Phase::kWhole) {
      end_whole(state);
      state.n_digits = 0;
    } else if (state.phase != Phase::kFraction) {
      return false;
    }
    if (state.is_negative && state.is_zero) return false;
    for (std::size_t idx = 0; idx < range_.bounds.size(); ++idx)
      if (!holds(range_.bounds[idx], state, state.orders[idx])) return false;
    if (!range_.multiple) return true;
    uint32_t remainder = state.remainder;
    for (int32_t n = state.n_digits; n < range_.multiple->n_fraction_digits && remainder != 0; ++n)
      remainder = remainder * 10 % range_.multiple->value;
    return remainder == 0;
  }

 private:
  std::optional<State> next_digit(State state, char digit) const {
    const bool is_behind = state.phase == Phase::kPoint || state.phase == Phase::kFraction;
    if (state.phase == Phase::kZero || state.n_digits == kMaxWrittenDigits) return std::nullopt;
    const bool is_first = state.phase == Phase::kBegin || state.phase == Phase::kSign;
    if (is_first && digit == '0') {
      state.phase = Phase::kZero;
      return state;
    }
    const auto place = static_cast<int32_t>(state.n_digits);
    for (std::size_t idx = 0; idx < range_.bounds.size(); ++idx)
      compare(state.orders[idx], range_.bounds[idx].value, is_behind, place, digit);
    if (range_.multiple) {
      if (is_behind && place >= range_.multiple->n_fraction_digits) return std::nullopt;
      state.remainder = (state.remainder * 10 + static_cast<uint32_t>(digit - '0')) % range_.multiple->value;
    }
    state.phase = is_behind ? Phase::kFraction : Phase::kWhole;
    state.is_zero = state.is_zero && digit == '0';
    // From the first digit on a sign counts for the bounds alone.
    if (!state.is_zero && range_.bounds.empty()) state.is_negative = false;
    ++state.n_digits;
    return kept(state);
  }

  static void compare(Order& order, const Decimal& bound, bool is_behind, int32_t place, char digit) {
    // More digits before the point than the bound has.
    if (!is_behind && place >= bound.n_whole_digits()) order = kGreater;
    if (order != kEqual) return;
    const char beside = bound.digit(is_behind ? bound.n_whole_digits() + place : place);
    order = digit < beside ? kLess : digit > beside ? kGreater : kEqual;
  }

  // As many digits stand before the point as there are: fewer than a bound has are less.
  void end_whole(State& state) const {
    for (std::size_t idx = 0; idx < range_.bounds.size(); ++idx)
      if (state.n_digits < range_.bounds[idx].value.n_whole_digits()) state.orders[idx] = kLess;
  }

  static bool holds(const NumberRange::Bound& bound, const State& state, Order order) {
    if (order == kEqual && state.n_digits < bound.value.n_fraction_digits()) order = kLess;
    if (state.is_negative != bound.value.is_negative)
      order = state.is_negative ? kLess : kGreater;
    else if (state.is_negative)
      order = order == kLess ? kGreater : order == kGreater ? kLess : kEqual;
    if (order == kEqual) return !bound.is_excluded;
    return (order == kGreater) == bound.is_lower;
  }

  // Whether what is behind the point can still make a multiple.
  std::optional<State> kept(const State& state) const {
    const bool is_behind = state.phase == Phase::kPoint || state.phase == Phase::kFraction;
    if (range_.multiple && is_behind && state.n_digits >= range_.multiple->n_fraction_digits &&
        state.remainder != 0)
      return std::nullopt;
    return state;
  }

  const NumberRange& range_;
};

}  // namespace

std::optional<NumberRange::Multiple> multiple_of(const Decimal& decimal) {
  if (decimal.is_zero() || decimal.is_negative) return std::nullopt;
  NumberRange::Multiple multiple;
  multiple.n_fraction_digits = decimal.n_fraction_digits();
  if (multiple.n_fraction_digits > NumberRange::kMaxMultiplePlaces) return std::nullopt;
  const int32_t n_digits = decimal.n_whole_digits() + multiple.n_fraction_digits;
  multiple.value = 0;
  for (int32_t place = 0; place < n_digits; ++place) {
    multiple.value = multiple.value * 10 + static_cast<uint32_t>(decimal.digit(place) - '0');
    if (multiple.value > NumberRange::kMaxMultiple) return std::nullopt;
  }
  return multiple;
}

Automaton numbers_in(const NumberRange& range, AutomatonWork& work) {
  const NumberReader reader(range);
  std::vector<NumberReader::State> states = {{}};
  std::unordered_map<uint64_t, uint32_t> numbers = {{states.front().key(), 0}};
  Automaton automaton;
  for (std::size_t idx = 0; idx < states.size(); ++idx) {
    const NumberReader::State state = states[idx];
    automaton.states.push_back({{}, reader.is_accepting(state)});
    work.count(kSigns.size());
    for (const char sign : kSigns) {
      const std::optional<NumberReader::State> next = reader.next(state, sign);
      if (!next) continue;
      const auto [found, is_new] = numbers.try_emplace(next->key(), static_cast<uint32_t>(states.size()));
      if (is_new) states.push_back(*next);
      const auto character = static_cast<uint32_t>(sign);
      add_edge(automaton.states.back().edges, {character, character, found->second});
    }
  }
  return minimised(trimmed(automaton), work);
}

}  // namespace lille
