#pragma once

#include <functional>
#include <string_view>

#include "lille/hub.h"

namespace lille::cli {

/// Receives one line that a user should know.
using TellNote = std::function<void(std::string_view message)>;

/// What the environment variables of Python's huggingface_hub say (docs/HUB.md), for front ends: the program
/// and the Python package.
/// @param on_note  told what is odd about the token, and given on as HubOptions::on_note; not empty.
HubOptions read_hub_environment(const TellNote& on_note);

}  // namespace lille::cli
