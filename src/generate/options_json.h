#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "generate/options.h"

namespace lille {

/// {"262": -2, "11": "-inf"} as biases by token id; JSON has no number for "-inf".
/// @param name  of the option, for messages.
/// @throws Error(kInvalidArgument) that names the option and what is no bias, or the id that stands twice.
std::map<int32_t, float> biases_from_json(const nlohmann::json& object, std::string_view name);

/// Sets the option of the table that a JSON field names, as flags of the command line do: numbers, texts, yes
/// or no; `stop` is a text or an array of texts, `logit_bias` as biases_from_json. Null leaves the option
/// as it is.
/// @return whether the table has such an option.
/// @throws Error(kInvalidArgument) that names the field, what it takes and what it is.
bool set_json_option(GenerationOptions& options, std::string_view name, const nlohmann::json& value);

}  // namespace lille
