#include "server/fields.h"

#include <algorithm>

#include "base/text.h"
#include "io/json.h"

namespace lille {

void refuse_field(std::string_view field, std::string_view expected, std::string_view got,
                  std::string_view reason) {
  throw RefusedRequest(400, fmt::format("{}: expected {}, got {}", field, expected, got), std::string(field),
                       std::string(reason));
}

nlohmann::json parse_body(std::string_view body) {
  if (body.starts_with("\xEF\xBB\xBF"))
    throw RefusedRequest(400, "[request] body: expected JSON, got a byte order mark before it");
  try {
    return parse_json_object(body, {"request", "body"});
  } catch (const Error& error) {
    throw RefusedRequest(400, error.what());
  }
}

void tell_ignored(ApiReply& reply, std::span<const std::string> names) {
  constexpr std::size_t kMaxNames = 32;
  if (names.empty()) return;
  std::string list;
  for (const std::string& name : names.first(std::min(names.size(), kMaxNames)))
    list += (list.empty() ? "" : ", ") + name;
  if (names.size() > kMaxNames) list += ", ...";
  // Headers are ASCII.
  std::ranges::replace_if(
      list, [](char c) { return c < 0x20 || c == 0x7F; }, '?');
  reply.headers.emplace_back("X-Lille-Ignored-Fields", list);
}

Fields::Fields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object())
    refuse_field(where_.empty() ? "body" : where_.substr(0, where_.size() - 1), "an object",
                 describe(object));
}

const nlohmann::json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::flag(std::string_view name, bool absent) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) refuse_field(path(name), "true or false", describe(*value));
  return value->get<bool>();
}

std::optional<int64_t> Fields::number(std::string_view name, int64_t min, int64_t max) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  // As doubles, since numbers of two signs compare as signed ones.
  if (!value->is_number_integer() || value->get<double>() < static_cast<double>(min) ||
      value->get<double>() > static_cast<double>(max))
    refuse_field(path(name), fmt::format("a whole number from {} to {}", min, max), describe(*value));
  return value->get<int64_t>();
}

std::optional<std::string> Fields::text(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse_field(path(name), "a text", describe(*value));
  return value->get<std::string>();
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items())
    if (!value.is_null() && !known_.contains(name)) names.push_back(where_ + printable(name));
  return names;
}

}  // namespace lille
