#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "generate/options.h"

namespace lille {

/// Sets the option of the table that a JSON field names, as flags of the command line do: numbers, texts, yes
/// or no; `stop` is a text or an array of texts, `logit_bias` an object of numbers by token id. Null leaves
/// the option as it is.
/// @return whether the table has such an option.
/// @throws Error(kInvalidArgument) that names the field, what it takes and what it is.
bool set_json_option(GenerationOptions& options, std::string_view name, const nlohmann::json& value);

}  // namespace lille
