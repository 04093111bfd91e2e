#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace lille {

/// The names of an object in their order, each found by a search of its own: nlohmann::ordered_map looks at
/// one after the other, which for the names of a whole schema takes the square of their number. Nothing is
/// erased.
template <typename Key, typename Value, typename Less, typename Allocator>
class OrderedMap : public nlohmann::ordered_map<Key, Value, Less, Allocator> {
  using Base = nlohmann::ordered_map<Key, Value, Less, Allocator>;

 public:
  using typename Base::const_iterator;
  using typename Base::iterator;

  std::pair<iterator, bool> emplace(const Key& key, Value&& value) {
    const bool is_new = indices_.try_emplace(key, this->size()).second;
    if (is_new) this->emplace_back(key, std::move(value));
    return {find(key), is_new};
  }
  Value& operator[](const Key& key) { return emplace(key, Value()).first->second; }
  const_iterator find(std::string_view key) const { return this->begin() + index_of(key); }
  iterator find(std::string_view key) { return this->begin() + index_of(key); }
  std::size_t count(std::string_view key) const { return indices_.contains(key) ? 1 : 0; }

 private:
  // That of the end if there is no such name.
  std::ptrdiff_t index_of(std::string_view key) const {
    const auto found = indices_.find(key);
    return static_cast<std::ptrdiff_t>(found == indices_.end() ? this->size() : found->second);
  }

  // Sorted and not hashed: whoever writes the names cannot make them collide.
  std::map<Key, std::size_t, std::less<>> indices_;
};

/// JSON whose objects keep their order.
using OrderedJson = nlohmann::basic_json<OrderedMap>;

}  // namespace lille
