#include "grammar/string_format.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "grammar/pattern_automaton.h"

namespace lille {
namespace {

constexpr std::array<std::string_view, 9> kFormats = {"date-time", "time", "date", "duration", "email",
                                                      "hostname",  "ipv4", "ipv6", "uuid"};

// Source: JSON Schema 2020-12, validation, 7.3.
constexpr std::array<std::string_view, 10> kOtherFormats = {
    "idn-email",     "idn-hostname", "uri",          "uri-reference",         "iri",
    "iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex"};

// Source: RFC 3339, 5.6 and 5.7; a day that a month of the Gregorian calendar has, of years 0000 to 9999.
std::string date() {
  const std::string day_to_28 = "(?:0[1-9]|1\\d|2[0-8])";
  const std::string leap_year = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
  return "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:" + day_to_28 + "|29|3[01])|(?:0[469]|11)-(?:" + day_to_28 +
         "|29|30)|02-" + day_to_28 + ")|" + leap_year + "-02-29)";
}

// Source: RFC 3339, 5.6. No second is the 60th: most programs that read times know none.
std::string time() {
  const std::string minutes = "(?:[01]\\d|2[0-3]):[0-5]\\d";
  return minutes + ":[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]" + minutes + ")";
}

// Source: RFC 3339, appendix A.
std::string duration() {
  const std::string n = "\\d{1,9}";
  const std::string minutes = "(?:" + n + "M(?:" + n + "S)?)";
  const std::string time = "T(?:" + n + "H" + minutes + "?|" + minutes + "|" + n + "S)";
  const std::string months = "(?:" + n + "M(?:" + n + "D)?)";
  const std::string date = "(?:" + n + "Y" + months + "?|" + months + "|" + n + "D)";
  return "P(?:" + date + "(?:" + time + ")?|" + time + "|" + n + "W)";
}

// Of `n` characters at most, 5 or more. Source: RFC 1123, 2.1; RFC 5891, 4.2.3.1, which keeps labels with two
// hyphens in the third and fourth place for names of its own.
std::string label(int n) {
  const std::string any = "[A-Za-z0-9-]";
  const std::string inner = "[A-Za-z0-9]";
  return inner + "(?:" + any + "{0,2}" + inner + "|" + any + "(?:" + inner + any + "|-" + inner + ")" + any +
         "{0," + std::to_string(n - 5) + "}" + inner + ")?";
}

// Within the 253 characters of all labels together. Source: RFC 1123, 2.1.
std::string hostname() {
  return label(63) + "(?:\\." + label(63) + "){0,2}|" + label(30) + "(?:\\." + label(30) + "){0,7}";
}

// Of RFC 5321's addresses (4.1.2) those that all programs take.
std::string email() { return "[\\w+-](?:\\.?[\\w+-]){0,31}@(?:" + label(30) + "\\.){1,4}[A-Za-z]{2,24}"; }

// Source: RFC 2673, 3.2.
std::string ipv4() {
  const std::string byte = "(?:\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])";
  return byte + "(?:\\." + byte + "){3}";
}

// Source: RFC 4291, 2.2: groups, of which :: stands for one or more, and the last two maybe as ipv4.
std::string ipv6() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  const std::string last_two = "(?:" + group + ":" + group + "|" + ipv4() + ")";
  std::string address = "(?:" + group + ":){6}" + last_two;
  for (int n_before = 0; n_before <= 7; ++n_before) {
    std::string before;
    if (n_before > 0) before = group + "(?::" + group + "){" + std::to_string(n_before - 1) + "}";
    address += "|" + before + "::";
    const int n_after = 7 - n_before;
    if (n_after == 0) continue;
    const std::string groups = "(?:" + group + ":){0," + std::to_string(n_after - 1) + "}" + group;
    address += "(?:" + groups;
    if (n_after >= 2) address += "|(?:" + group + ":){0," + std::to_string(n_after - 2) + "}" + ipv4();
    address += ")?";
  }
  return address;
}

// Source: RFC 4122, 3.
std::string uuid() { return "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"; }

std::string pattern_of(std::string_view name) {
  if (name == "date-time") return date() + "T" + time();
  if (name == "time") return time();
  if (name == "date") return date();
  if (name == "duration") return duration();
  if (name == "email") return email();
  if (name == "hostname") return hostname();
  if (name == "ipv4") return ipv4();
  if (name == "ipv6") return ipv6();
  LILLE_CHECK(name == "uuid");
  return uuid();
}

}  // namespace

std::span<const std::string_view> string_formats() { return kFormats; }

bool is_standard_format(std::string_view name) {
  const auto is_said = [name](std::string_view known) { return name == known; };
  return std::ranges::any_of(kFormats, is_said) || std::ranges::any_of(kOtherFormats, is_said);
}

Automaton format_automaton(std::string_view name, AutomatonWork& work) {
  return pattern_automaton("^(?:" + pattern_of(name) + ")$", work);
}

}  // namespace lille
