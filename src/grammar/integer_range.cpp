#include "grammar/integer_range.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace lille {
namespace {

Expression digit(char first, char last) {
  return characters_of({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}});
}

Expression any_digits(std::size_t n_digits) {
  return repeat_of(digit('0', '9'), static_cast<uint32_t>(n_digits), static_cast<uint32_t>(n_digits));
}

// The numbers between two of as many digits.
Expression between(std::string_view first, std::string_view last) {
  const std::string nines(first.size(), '9');
  const std::string zeros(first.size(), '0');
  // Else both ends below would lead to ranges of this kind, and each of these to two more.
  if (first == zeros && last == nines) return any_digits(first.size());
  const std::string_view next_first = first.substr(1);
  const std::string_view next_last = last.substr(1);
  if (first[0] == last[0]) return sequence_of({bytes_of({first[0]}), between(next_first, next_last)});
  std::vector<Expression> choices;
  choices.push_back(sequence_of({bytes_of({first[0]}), between(next_first, nines.substr(1))}));
  if (last[0] - first[0] > 1)
    choices.push_back(sequence_of({digit(static_cast<char>(first[0] + 1), static_cast<char>(last[0] - 1)),
                                   any_digits(next_first.size())}));
  choices.push_back(sequence_of({bytes_of({last[0]}), between(zeros.substr(1), next_last)}));
  return choice_of(std::move(choices));
}

// min >= 0.
void add_between(std::vector<Expression>& choices, int64_t min, int64_t max, const std::string& sign) {
  for (int64_t power = 1; min <= max; power *= 10) {
    const int64_t last = std::min(max, power * 10 - 1);
    if (min > last) continue;
    Expression numbers = between(std::to_string(min), std::to_string(last));
    choices.push_back(sequence_of({bytes_of(sign), std::move(numbers)}));
    min = last + 1;
  }
}

}  // namespace

Expression integers_between(int64_t min, int64_t max) {
  std::vector<Expression> choices;
  if (min < 0) add_between(choices, std::max<int64_t>(1, -max), -min, "-");
  if (max >= 0) add_between(choices, std::max<int64_t>(0, min), max, "");
  return choice_of(std::move(choices));
}

}  // namespace lille
