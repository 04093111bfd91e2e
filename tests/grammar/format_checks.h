#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace lille::test {

/// Reads a text from its beginning, part by part.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : rest_(text) {}

  bool is_at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// A number of `min` to `max` digits, or -1.
  long long number(std::size_t min, std::size_t max) {
    std::size_t n = 0;
    while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9') ++n;
    if (n < min || n > max) return -1;
    const long long value = std::stoll(std::string(rest_.substr(0, n)));
    rest_.remove_prefix(n);
    return value;
  }
  /// One with as many digits that is at most `last`.
  bool number_up_to(std::size_t n_digits, long long last) {
    const long long value = number(n_digits, n_digits);
    return value >= 0 && value <= last;
  }

 private:
  std::string_view rest_;
};

inline bool is_date(std::string_view text) {
  if (text.size() != 10) return false;
  TextReader reader(text);
  const long long year = reader.number(4, 4);
  if (!reader.take('-')) return false;
  const long long month = reader.number(2, 2);
  if (!reader.take('-')) return false;
  const long long day = reader.number(2, 2);
  if (year < 0 || month < 0 || day < 0 || !reader.is_at_end()) return false;
  return std::chrono::year_month_day(std::chrono::year(static_cast<int>(year)),
                                     std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day)))
      .ok();
}

inline bool is_time(std::string_view text) {
  TextReader reader(text);
  if (!(reader.number_up_to(2, 23) && reader.take(':') && reader.number_up_to(2, 59) && reader.take(':') &&
        reader.number_up_to(2, 59)))
    return false;
  if (reader.take('.') && reader.number(1, 9) < 0) return false;
  if (reader.take('Z')) return reader.is_at_end();
  return (reader.take('+') || reader.take('-')) && reader.number_up_to(2, 23) && reader.take(':') &&
         reader.number_up_to(2, 59) && reader.is_at_end();
}

inline bool is_date_time(std::string_view text) {
  const std::size_t t = text.find('T');
  return t != std::string_view::npos && is_date(text.substr(0, t)) && is_time(text.substr(t + 1));
}

/// Numbers and their units, each behind the one that is next larger; `units` from the largest on.
inline bool is_row_of_units(std::string_view text, std::string_view units) {
  TextReader reader(text);
  std::size_t last = std::string_view::npos;
  for (bool is_first = true; !reader.is_at_end(); is_first = false) {
    if (reader.number(1, 9) < 0) return false;
    std::size_t unit = 0;
    while (unit < units.size() && !reader.take(units[unit])) ++unit;
    if (unit == units.size() || (!is_first && unit != last + 1)) return false;
    last = unit;
  }
  return !text.empty();
}

inline bool is_duration(std::string_view text) {
  if (!text.starts_with('P')) return false;
  text.remove_prefix(1);
  if (is_row_of_units(text, "W")) return true;
  const std::size_t t = text.find('T');
  if (t == std::string_view::npos) return is_row_of_units(text, "YMD");
  return (t == 0 || is_row_of_units(text.substr(0, t), "YMD")) && is_row_of_units(text.substr(t + 1), "HMS");
}

inline bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

inline std::vector<std::string_view> labels_of(std::string_view text) {
  std::vector<std::string_view> labels;
  for (std::size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.')) {
    labels.push_back(text.substr(0, dot));
    text.remove_prefix(dot + 1);
  }
  labels.push_back(text);
  return labels;
}

inline bool is_label(std::string_view text, std::size_t max) {
  return !text.empty() && text.size() <= max && is_letter_or_digit(text.front()) &&
         is_letter_or_digit(text.back()) &&
         std::ranges::all_of(text, [](char c) { return c == '-' || is_letter_or_digit(c); }) &&
         (text.size() < 4 || text.substr(2, 2) != "--");
}

inline bool is_hostname(std::string_view text) {
  const std::vector<std::string_view> labels = labels_of(text);
  const auto are_labels = [&](std::size_t max) {
    return std::ranges::all_of(labels, [max](std::string_view label) { return is_label(label, max); });
  };
  return (labels.size() <= 3 && are_labels(63)) || (labels.size() <= 8 && are_labels(30));
}

inline bool is_email(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return false;
  std::size_t n_characters = 0;
  for (const std::string_view part : labels_of(text.substr(0, at))) {
    const auto is_plain = [](char c) { return is_letter_or_digit(c) || c == '_' || c == '+' || c == '-'; };
    if (part.empty() || !std::ranges::all_of(part, is_plain)) return false;
    n_characters += part.size();
  }
  std::vector<std::string_view> labels = labels_of(text.substr(at + 1));
  const std::string_view last = labels.back();
  labels.pop_back();
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return n_characters <= 32 && !labels.empty() && labels.size() <= 4 && last.size() >= 2 &&
         last.size() <= 24 && std::ranges::all_of(last, is_letter) &&
         std::ranges::all_of(labels, [](std::string_view label) { return is_label(label, 30); });
}

inline bool is_address(std::string_view text, int family) {
  unsigned char address[16];
  return text.find('\0') == std::string_view::npos &&
         inet_pton(family, std::string(text).c_str(), address) == 1;
}

inline bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t idx = 0; idx < text.size(); ++idx) {
    const bool is_hyphen = idx == 8 || idx == 13 || idx == 18 || idx == 23;
    const char c = text[idx];
    const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (is_hyphen ? c != '-' : !is_hex) return false;
  }
  return true;
}

/// Whether a text is of a format as docs/GRAMMAR.md describes it, found without the grammar's patterns.
inline bool is_of_format(std::string_view text, std::string_view format) {
  return format == "date-time"  ? is_date_time(text)
         : format == "time"     ? is_time(text)
         : format == "date"     ? is_date(text)
         : format == "duration" ? is_duration(text)
         : format == "email"    ? is_email(text)
         : format == "hostname" ? is_hostname(text)
         : format == "ipv4"     ? is_address(text, AF_INET)
         : format == "ipv6"     ? is_address(text, AF_INET6)
                                : format == "uuid" && is_uuid(text);
}

}  // namespace lille::test
