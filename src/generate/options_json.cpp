#include "generate/options_json.h"

#include <algorithm>
#include <charconv>

#include "io/json.h"

namespace lille {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view expected, const json& value) {
  raise(ErrorCode::kInvalidArgument, "{}: expected {}, got {}", spec.name, expected, describe(value));
}

std::string range_text(const OptionSpec& spec, std::string_view kind) {
  return fmt::format("a {} from {} to {}", kind, spec.min, spec.max);
}

void set(bool& field, const OptionSpec& spec, const json& value) {
  if (!value.is_boolean()) refuse(spec, "true or false", value);
  field = value.get<bool>();
}

void set(uint64_t& field, const OptionSpec& spec, const json& value) {
  if (!value.is_number_unsigned())
    refuse(spec, fmt::format("a whole number from 0 to {}", std::numeric_limits<uint64_t>::max()), value);
  field = value.get<uint64_t>();
}

bool is_in_range(const OptionSpec& spec, const json& value) {
  return value.get<double>() >= spec.min && value.get<double>() <= spec.max;
}

void set(int64_t& field, const OptionSpec& spec, const json& value) {
  if (!value.is_number_integer() || !is_in_range(spec, value))
    refuse(spec, range_text(spec, "whole number"), value);
  field = value.get<int64_t>();
}

void set(float& field, const OptionSpec& spec, const json& value) {
  if (!value.is_number() || !is_in_range(spec, value)) refuse(spec, range_text(spec, "number"), value);
  field = value.get<float>();
}

void set(std::string& field, const OptionSpec& spec, const json& value) {
  if (!value.is_string()) refuse(spec, "a text", value);
  const auto& text = value.get_ref<const std::string&>();
  if (!is_choice(spec, text)) refuse(spec, choices_text(spec), value);
  field = text;
}

void set(std::vector<std::string>& field, const OptionSpec& spec, const json& value) {
  const auto is_text = [](const json& item) { return item.is_string(); };
  if (value.is_string()) {
    field = {value.get<std::string>()};
  } else if (value.is_array() && std::ranges::all_of(value, is_text)) {
    field = value.get<std::vector<std::string>>();
  } else {
    refuse(spec, "a text or an array of texts", value);
  }
}

void set(std::map<int32_t, float>& field, const OptionSpec& spec, const json& value) {
  constexpr std::string_view kExpected = "an object of numbers by token id";
  if (!value.is_object()) refuse(spec, kExpected, value);
  std::map<int32_t, float> biases;
  for (const auto& [key, bias] : value.items()) {
    int32_t id = 0;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failure != std::errc() || end != key.data() + key.size()) refuse(spec, kExpected, key);
    if (!bias.is_number()) refuse(spec, kExpected, bias);
    biases[id] = bias.get<float>();
  }
  field = std::move(biases);
}

template <typename Value>
void set(std::optional<Value>& field, const OptionSpec& spec, const json& value) {
  Value said{};
  set(said, spec, value);
  field = said;
}

}  // namespace

bool set_json_option(GenerationOptions& options, std::string_view name, const json& value) {
  bool is_there = false;
  visit_options(options, [&](const OptionSpec& spec, auto& field) {
    if (spec.name != name) return;
    is_there = true;
    if (!value.is_null()) set(field, spec, value);
  });
  return is_there;
}

}  // namespace lille
