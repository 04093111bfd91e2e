#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lille::test {

/// A regular expression as PCRE2 reads it, with the meanings that ECMA-262 has where the two differ: escapes
/// with u, $ and classes without characters. Of line ends it knows \r and \n alone, and of spaces those of
/// ASCII.
class Pcre {
 public:
  explicit Pcre(std::string_view pattern) {
    const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
        pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_compile_extra_options(context.get(), PCRE2_EXTRA_ALT_BSUX);
    int error = 0;
    PCRE2_SIZE where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS,
                              &error, &where, context.get()));
    if (!code_) throw std::runtime_error("pattern: " + std::string(pattern));
    match_.reset(pcre2_match_data_create(1, nullptr));
  }

  /// Whether it is found anywhere in a text.
  bool is_found_in(std::string_view text) const {
    const int n = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0,
                              match_.get(), nullptr);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH) throw std::runtime_error("match: " + std::string(text));
    return n >= 0;
  }

 private:
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_{nullptr, &pcre2_code_free};
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_{nullptr, &pcre2_match_data_free};
};

}  // namespace lille::test
