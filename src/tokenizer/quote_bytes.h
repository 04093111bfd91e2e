#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lille {

/// Bytes in quotes, for messages: printable ASCII as it is, everything else as \xNN, cut after max_bytes.
std::string quote_bytes(std::string_view bytes, std::size_t max_bytes = 48);

}  // namespace lille
