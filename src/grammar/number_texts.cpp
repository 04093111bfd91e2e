#include "grammar/number_texts.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace lille {
namespace {

class NumberTextReader : public nlohmann::json_sax<OrderedJson> {
 public:
  std::vector<std::string> texts;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t& text) override {
    texts.push_back(text);
    return true;
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const OrderedJson::exception&) override { return false; }
};

// The numbers in their order, which is that of the text.
void append_numbers(std::vector<const OrderedJson*>& numbers, const OrderedJson& value) {
  if (value.is_number_float()) numbers.push_back(&value);
  if (value.is_structured())
    for (const OrderedJson& part : value) append_numbers(numbers, part);
}

}  // namespace

std::map<const OrderedJson*, std::string> number_texts(const OrderedJson& root, std::string_view text) {
  NumberTextReader reader;
  OrderedJson::sax_parse(text, &reader);
  std::vector<const OrderedJson*> numbers;
  append_numbers(numbers, root);
  LILLE_CHECK(numbers.size() == reader.texts.size());
  std::map<const OrderedJson*, std::string> texts;
  for (std::size_t idx = 0; idx < numbers.size(); ++idx)
    texts.emplace(numbers[idx], std::move(reader.texts[idx]));
  return texts;
}

}  // namespace lille
