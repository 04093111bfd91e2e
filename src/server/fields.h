#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_types.h"

namespace lille {

/// Throws RefusedRequest with status 400 that names a field: `FIELD: expected ..., got ...`.
[[noreturn]] void refuse_field(std::string_view field, std::string_view expected, std::string_view got,
                               std::string_view reason = "");

/// The JSON object in a body.
/// @throws RefusedRequest for what is none: a byte order mark, more than 16 levels, a name that stands twice
///   in one object, numbers that no double holds, and everything that is no JSON.
nlohmann::json parse_body(std::string_view body);

/// Lists fields that are not known in the header X-Lille-Ignored-Fields, the first 32 of them.
void tell_ignored(ApiReply& reply, std::span<const std::string> names);

/// The fields of a JSON object as they are asked for; null is as good as absent. It knows in the end which
/// nobody asked for.
class Fields {
 public:
  /// @param object  outlives this.
  /// @param where   what stands before a field's name in messages: "stream_options.".
  /// @throws RefusedRequest for what is no object.
  explicit Fields(const nlohmann::json& object, std::string where = "");

  /// A field's value; null if it is absent or null.
  const nlohmann::json* find(std::string_view name);
  /// @throws RefusedRequest for another type, or out of range.
  bool flag(std::string_view name, bool absent);
  std::optional<int64_t> number(std::string_view name, int64_t min, int64_t max);
  std::optional<std::string> text(std::string_view name);
  /// Takes a field that makes no difference here.
  void accept(std::string_view name) { known_.emplace(name); }

  /// The name of a field in messages.
  std::string path(std::string_view name) const { return where_ + std::string(name); }
  /// Names that nobody asked for, with what stands before them, and are not null.
  std::vector<std::string> unknown() const;

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace lille
