#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string_view>

#include "base/check.h"

namespace lille::capi {

/// Most bytes of a text that a caller may pass.
inline constexpr int64_t kMaxTextBytes = int64_t{1} << 30;
/// Most tokens, messages or numbers.
inline constexpr int64_t kMaxCount = int64_t{1} << 28;

/// The object that a pointer leads to.
/// @param where  "lille_generate: session", for the message.
/// @throws Error(kInvalidArgument) for null.
template <typename Object>
Object& needed(Object* pointer, std::string_view where) {
  if (pointer == nullptr)
    raise(ErrorCode::kInvalidArgument, "[{}] expected a pointer to something, got NULL", where);
  return *pointer;
}

/// Null and 0 in what a function will write: what a call that fails leaves there is nothing that could be
/// freed or read.
template <typename... Results>
void clear(Results*... results) noexcept {
  ((results == nullptr ? void() : void(*results = Results{})), ...);
}

/// @throws Error(kInvalidArgument) unless 0 <= n <= max.
void check_count(int64_t n, int64_t max, std::string_view where);

/// A caller's array.
/// @throws Error(kInvalidArgument) for null and for a count below 0 or above kMaxCount.
template <typename Element>
std::span<Element> array_of(Element* elements, int64_t n_elements, std::string_view where) {
  needed(elements, where);
  check_count(n_elements, kMaxCount, where);
  return {elements, static_cast<std::size_t>(n_elements)};
}

/// A caller's text of n_bytes bytes.
/// @throws Error(kInvalidArgument) for null and for a count below 0 or above kMaxTextBytes.
std::string_view text_of(const char* text, int64_t n_bytes, std::string_view where);

/// A caller's text that ends in a zero.
/// @throws Error(kInvalidArgument) for null.
std::string_view text_of(const char* text, std::string_view where);

/// A copy for lille_free with a zero behind it; not null for no elements either.
/// @throws std::bad_alloc
template <typename Element>
Element* allocated_copy(std::span<const Element> elements) {
  auto* copy = static_cast<Element*>(std::calloc(elements.size() + 1, sizeof(Element)));
  if (copy == nullptr) throw std::bad_alloc();
  std::copy(elements.begin(), elements.end(), copy);
  return copy;
}

}  // namespace lille::capi
