#include <algorithm>
#include <charconv>
#include <type_traits>

#include "capi/arguments.h"
#include "capi/error.h"
#include "capi/handles.h"

namespace lille::capi {
namespace {

// Calls visit(spec, field) for each option that the C API has.
template <typename Visitor>
void visit_all(auto& options, Visitor&& visit) {
  visit_options(options.model, [&visit](const OptionSpec& spec, auto& field) {
    if (spec.name != "model") visit(spec, field);
  });
  visit_options(options.compute, visit);
  visit_options(options.draft, visit);
  visit_options(options.generation, visit);
}

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view expected, std::string_view text) {
  raise(ErrorCode::kInvalidArgument, "[lille_options_set] {}: expected {}, got \"{}\"", spec.name, expected,
        printable(text));
}

template <typename Number>
requires std::is_arithmetic_v<Number>
void read_option(Number& field, const OptionSpec& spec, std::string_view text) {
  if (!is_choice(spec, text)) refuse(spec, choices_text(spec), text);
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  // NaN fails both comparisons.
  if (failure == std::errc() && end == text.data() + text.size() && static_cast<double>(number) >= spec.min &&
      static_cast<double>(number) <= spec.max) {
    field = number;
    return;
  }
  if constexpr (std::is_unsigned_v<Number>)
    refuse(spec, fmt::format("a whole number from 0 to {}", std::numeric_limits<Number>::max()), text);
  refuse(spec,
         fmt::format("a {} from {} to {}", std::is_integral_v<Number> ? "whole number" : "number", spec.min,
                     spec.max),
         text);
}

void read_option(bool& field, const OptionSpec& spec, std::string_view text) {
  if (text != "true" && text != "false") refuse(spec, "true or false", text);
  field = text == "true";
}

void read_option(std::string& field, const OptionSpec& spec, std::string_view text) {
  if (!is_choice(spec, text)) refuse(spec, choices_text(spec), text);
  field = text;
}

void read_option(std::vector<std::string>& field, const OptionSpec&, std::string_view text) {
  field.emplace_back(text);
}

void read_option(std::map<int32_t, float>& field, const OptionSpec&, std::string_view text) {
  field = parse_logit_bias(text);
}

template <typename Value>
void read_option(std::optional<Value>& field, const OptionSpec& spec, std::string_view text) {
  Value value{};
  read_option(value, spec, text);
  field = std::move(value);
}

// "top-p" is top_p, and "temp" temperature.
bool is_called(const OptionSpec& spec, std::string_view name) {
  const auto underscored = [](char c) { return c == '-' ? '_' : c; };
  return std::ranges::equal(spec.name, name, {}, {}, underscored) ||
         (!spec.alias.empty() && std::ranges::equal(spec.alias, name, {}, {}, underscored));
}

void set_option(lille_options& options, std::string_view name, std::string_view text) {
  bool is_there = false;
  visit_all(options, [&](const OptionSpec& spec, auto& field) {
    if (!is_called(spec, name)) return;
    is_there = true;
    read_option(field, spec, text);
  });
  if (!is_there)
    raise(
        ErrorCode::kInvalidArgument,
        "[lille_options_set] expected the name of an option, got \"{}\". Hint: lille_option_name lists them",
        printable(name));
}

// What an option takes that takes no number.
constexpr std::string_view not_a_number(const bool&) { return "\"true\" or \"false\""; }
constexpr std::string_view not_a_number(const std::string&) { return "text"; }
constexpr std::string_view not_a_number(const std::vector<std::string>&) { return "text"; }
constexpr std::string_view not_a_number(const std::map<int32_t, float>&) { return "text, pairs of numbers"; }
template <typename Number>
requires std::is_arithmetic_v<Number>
constexpr std::string_view not_a_number(const Number&) { return ""; }
template <typename Value>
std::string_view not_a_number(const std::optional<Value>&) {
  return not_a_number(Value{});
}

template <typename Number>
lille_status set_number(lille_options* options, const char* name, Number value, lille_error* error) {
  return guarded(error, [&] {
    lille_options& changed = needed(options, "lille_options_set: options");
    const std::string_view called = text_of(name, "lille_options_set: name");
    visit_all(changed, [&](const OptionSpec& spec, const auto& field) {
      const std::string_view expected = not_a_number(field);
      if (is_called(spec, called) && !expected.empty())
        raise(ErrorCode::kInvalidArgument,
              "[lille_options_set] {}: expected {}, got the number {}. Hint: lille_options_set takes text",
              spec.name, expected, value);
    });
    set_option(changed, called, fmt::format("{}", value));
  });
}

// The table's texts are literals, which end in a zero.
template <typename Condition>
OptionSpec find_option(Condition&& is_wanted) {
  OptionSpec found{};
  const lille_options options;
  visit_all(options, [&](const OptionSpec& spec, const auto&) {
    if (found.name.empty() && is_wanted(spec)) found = spec;
  });
  return found;
}

}  // namespace

const lille_options& options_or_none(const lille_options* options) noexcept {
  static const lille_options kNone;
  return options == nullptr ? kNone : *options;
}

}  // namespace lille::capi

namespace capi = lille::capi;

lille_status lille_options_create(lille_options** options, lille_error* error) {
  capi::clear(options);
  return capi::guarded(error, [&] {
    // Looked at first: the right side of an assignment is evaluated before the left.
    lille_options*& result = capi::needed(options, "lille_options_create: options");
    result = new lille_options;
  });
}

void lille_options_free(lille_options* options) { delete options; }

lille_status lille_options_set(lille_options* options, const char* name, const char* value,
                               lille_error* error) {
  return capi::guarded(error, [&] {
    capi::set_option(capi::needed(options, "lille_options_set: options"),
                     capi::text_of(name, "lille_options_set: name"),
                     capi::text_of(value, "lille_options_set: value"));
  });
}

lille_status lille_options_set_int(lille_options* options, const char* name, int64_t value,
                                   lille_error* error) {
  return capi::set_number(options, name, value, error);
}

lille_status lille_options_set_double(lille_options* options, const char* name, double value,
                                      lille_error* error) {
  return capi::set_number(options, name, value, error);
}

lille_status lille_options_set_cache_folder(lille_options* options, const char* folder, lille_error* error) {
  return capi::guarded(error, [&] {
    capi::needed(options, "lille_options_set_cache_folder: options").cache_folder =
        capi::text_of(folder, "lille_options_set_cache_folder: folder");
  });
}

lille_status lille_options_set_hub(lille_options* options, const char* cache_folder, const char* endpoint,
                                   const char* token, int32_t offline, lille_error* error) {
  return capi::guarded(error, [&] {
    lille_options& changed = capi::needed(options, "lille_options_set_hub: options");
    lille::HubOptions hub;
    hub.cache_folder = capi::text_of(cache_folder, "lille_options_set_hub: cache_folder");
    if (hub.cache_folder.empty())
      raise(lille::ErrorCode::kInvalidArgument,
            "[lille_options_set_hub] cache_folder: expected a folder, got \"\"");
    if (endpoint != nullptr) hub.endpoint = endpoint;
    if (token != nullptr) hub.token = token;
    hub.offline = offline != 0;
    changed.hub = std::move(hub);
  });
}

lille_status lille_options_set_warning_callback(lille_options* options, lille_warning_callback callback,
                                                void* user_data, lille_error* error) {
  return capi::guarded(error, [&] {
    lille_options& changed = capi::needed(options, "lille_options_set_warning_callback: options");
    changed.on_warning = callback;
    changed.on_warning_data = user_data;
  });
}

const char* lille_option_name(int64_t option_idx) {
  int64_t idx = 0;
  return capi::find_option([&](const lille::OptionSpec&) { return idx++ == option_idx; }).name.data();
}

const char* lille_option_help(const char* name) {
  if (name == nullptr) return nullptr;
  return capi::find_option([&](const lille::OptionSpec& spec) { return capi::is_called(spec, name); })
      .help.data();
}
