#include "generate/options_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "io/json.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::string_view kBiasField = "logit_bias";
constexpr double kMaxBias = std::numeric_limits<float>::max();

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view expected, const json& value) {
  raise_field(spec.name, "{}: expected {}, got {}", spec.name, expected, describe(value));
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
  if (spec.check_file != nullptr && value.is_object()) {
    field = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return;
  }
  if (!value.is_string()) refuse(spec, "a text", value);
  const auto& text = value.get_ref<const std::string&>();
  if (!is_choice(spec, text)) refuse(spec, choices_text(spec), value);
  if (spec.check_file != nullptr && text.empty()) refuse(spec, "a text or null", value);
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
  field = biases_from_json(value, spec.name);
}

template <typename Value>
void set(std::optional<Value>& field, const OptionSpec& spec, const json& value) {
  Value said{};
  set(said, spec, value);
  field = said;
}

}  // namespace

std::map<int32_t, float> biases_from_json(const json& object, std::string_view name) {
  const auto refuse = [name](const json& value) {
    raise_field(kBiasField, "{}: expected an object of numbers by token id, got {}", name, describe(value));
  };
  if (!object.is_object()) refuse(object);
  std::map<int32_t, float> biases;
  for (const auto& [key, value] : object.items()) {
    int32_t id = 0;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failure != std::errc() || end != key.data() + key.size()) refuse(key);
    const bool excludes = value == "-inf";
    if (!excludes && !(value.is_number() && std::abs(value.get<double>()) <= kMaxBias)) refuse(value);
    if (!biases.emplace(id, excludes ? -std::numeric_limits<float>::infinity() : value.get<float>()).second)
      raise_field(kBiasField, "{}: expected each token id once, got {} twice", name, id);
  }
  return biases;
}

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
