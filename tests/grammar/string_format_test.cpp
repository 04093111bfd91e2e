#include "grammar/string_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "grammar/automaton_texts.h"
#include "grammar/format_checks.h"

namespace lille {
namespace {

const Automaton& automaton_for(const std::string& format) {
  static std::map<std::string, Automaton> automata;
  const auto [known, is_new] = automata.try_emplace(format);
  AutomatonWork work;
  if (is_new) known->second = format_automaton(format, work);
  return known->second;
}

void expect_as_checked(const std::string& format, const std::string& text) {
  ASSERT_EQ(test::accepts(automaton_for(format), text), test::is_of_format(text, format))
      << format << ": " << text;
}

void expect_each(const std::string& format, const std::vector<const char*>& good,
                 const std::vector<const char*>& bad) {
  for (const char* text : good)
    EXPECT_TRUE(test::accepts(automaton_for(format), text)) << format << ": " << text;
  for (const char* text : bad)
    EXPECT_FALSE(test::accepts(automaton_for(format), text)) << format << ": " << text;
  for (const auto& texts : {good, bad})
    for (const char* text : texts) expect_as_checked(format, text);
}

TEST(StringFormat, DatesAreThoseOfTheCalendar) {
  for (int year = 0; year <= 9999; ++year) {
    const bool is_every_day = year % 397 == 0 || year == 2024 || year == 1900;
    for (int month = 0; month <= (is_every_day ? 13 : 2); ++month)
      for (int day = is_every_day ? 0 : 28; day <= (is_every_day ? 32 : 31); ++day)
        expect_as_checked("date", fmt::format("{:04}-{:02}-{:02}", year, month, day));
  }
  expect_each("date", {"2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"},
              {"2023-02-29", "1900-02-29", "2024-2-29", "2024-02-30", "24-02-29", "2024-02-29 ", "",
               "2024-13-01", "20240229", "12024-01-01", "2024-04-31"});
}

TEST(StringFormat, TimesHaveAnOffset) {
  for (int hour = 0; hour < 30; ++hour)
    for (int minute = 0; minute < 70; ++minute) {
      expect_as_checked("time", fmt::format("{:02}:{:02}:{:02}Z", hour, minute, (minute * 7 + hour) % 70));
      expect_as_checked("time", fmt::format("00:00:00+{:02}:{:02}", hour, minute));
    }
  expect_each("time", {"00:00:00Z", "23:59:59.123456789-23:59", "12:00:00.5+00:00"},
              {"24:00:00Z", "23:59:60Z", "12:00:00", "12:00Z", "12:00:00.Z", "12:00:00.1234567890Z",
               "12:00:00z", "12:00:00+1:00", "12:00:00+0100"});
  expect_each("date-time", {"2024-02-29T12:00:00Z", "1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00"},
              {"2023-02-29T12:00:00Z", "2024-02-29 12:00:00Z", "2024-02-29t12:00:00Z", "2024-02-29T12:00:00",
               "2024-02-29", "1990-12-31T23:59:60Z"});
}

TEST(StringFormat, DurationsHaveTheirUnitsInOrder) {
  test::for_each_text({"P", "T", "Y", "M", "D", "W", "H", "S", "1"}, 4, [](const std::string& text) {
    expect_as_checked("duration", text);
    expect_as_checked("duration", "P1" + text);
    expect_as_checked("duration", "P1Y" + text);
    expect_as_checked("duration", "PT1" + text);
  });
  expect_each(
      "duration", {"P3Y6M4DT12H30M5S", "P1W", "PT1H", "P1DT1S", "PT123456789S"},
      {"P", "PT", "P1", "1D", "P1Y1D", "PT1H1S", "P1DT", "P1W1D", "P1S", "PT1D", "PT1234567890S", "P1.5D"});
}

TEST(StringFormat, AddressesAreThoseThatInetPtonReads) {
  expect_each("ipv4", {"0.0.0.0", "255.255.255.255", "192.168.1.20"},
              {"256.0.0.0", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", ".1.2.3", "1.2.3.4 "});
  expect_each(
      "ipv6",
      {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8",
       "2001:DB8::ff00:42:8329", "::ffff:192.0.2.1", "1:2:3:4:5:6:1.2.3.4", "64:ff9b::192.0.2.33", "0001::"},
      {"", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::1.2.3", "1.2.3.4",
       "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8::", "::g", "fe80::1%eth0", "1:2:3:4::5:6:7:8:9"});
  for (int value = 0; value < 1100; ++value)
    expect_as_checked("ipv4", fmt::format("{}.0.0.{:02}", value, value));
  // Every row of groups and colons, and such rows with an address of four bytes behind them.
  for (const char* last : {"", "1.2.3.4", "1.2.3.256"})
    for (uint32_t bits = 0; bits < (1u << 17); bits += last[0] == 0 ? 1 : 3) {
      std::string text;
      for (uint32_t idx = 0; idx < 17; ++idx)
        text += (bits >> idx & 1u) != 0 ? ":" : idx % 2 == 0 ? "ab" : "";
      expect_as_checked("ipv6", text + last);
    }
}

TEST(StringFormat, NamesHaveLabelsOfLettersDigitsAndHyphens) {
  const auto label = [](std::size_t n) { return std::string(n, 'a'); };
  test::for_each_text({"a", "0", "-", "."}, 7, [](const std::string& text) {
    expect_as_checked("hostname", text);
    expect_as_checked("email", "x@" + text + ".example");
    expect_as_checked("email", text + "@example.com");
  });
  for (const std::size_t n : {4, 5, 6, 30, 31, 62, 63, 64})
    for (std::size_t n_labels = 1; n_labels <= 9; ++n_labels) {
      std::string text = label(n);
      for (std::size_t idx = 1; idx < n_labels; ++idx) text += "." + label(idx % 2 == 0 ? n : 3);
      EXPECT_LE(test::is_hostname(text) ? text.size() : 0, 253U);
      expect_as_checked("hostname", text);
      expect_as_checked("hostname", text + "-");
      expect_as_checked("hostname", text + "-b");
      expect_as_checked("email", "x@" + text + ".org");
      expect_as_checked("email", label(n) + ".b@example.org");
    }
  expect_each("hostname", {"localhost", "www.example.com", "a-b.c", "1.example"},
              {"", "-a", "a-", "a..b", ".a", "a.", "a_b", "xn--nxasmq6b", "ab--c", "a b", "\xc3\xa9.com"});
  expect_each("email", {"joe@example.com", "j.o-e_1+x@mail.example.co.uk"},
              {"joe", "@example.com", "joe@", "joe@example", "jo..e@example.com", ".joe@example.com",
               "joe.@example.com", "joe@-example.com", "joe@example.c", "joe@example.c0m", "a@b@c.com",
               "\"a\"@b.com"});
}

TEST(StringFormat, NumbersOfObjectsHaveTheirHyphens) {
  expect_each("uuid", {"2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"},
              {"2eb8aa08-aa98-11ea-b4aa-73b441d1638", "2eb8aa08aa9811eab4aa73b441d16380",
               "2eb8aa08-aa98-11ea-b4ga-73b441d16380", "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}"});
}

TEST(StringFormat, WhatIsDrawnOrDamagedIsAsChecked) {
  std::mt19937 random(1);
  for (const std::string_view name : string_formats()) {
    const std::string format(name);
    for (int round = 0; round < 1500; ++round) {
      std::string text = test::random_text(automaton_for(format), random, 40);
      ASSERT_TRUE(test::is_of_format(text, format)) << format << ": " << text;
      for (auto n = 1 + random() % 2; n > 0; --n) {
        const auto at = random() % text.size();
        const char other =
            random() % 2 == 0 ? text[random() % text.size()] : "0123456789-:.TZPag@"[random() % 19];
        if (random() % 3 == 0 && text.size() > 1)
          text.erase(at, 1);
        else if (random() % 2 == 0)
          text.insert(at, 1, other);
        else
          text[at] = other;
      }
      expect_as_checked(format, text);
    }
  }
}

}  // namespace
}  // namespace lille
