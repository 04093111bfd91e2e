#include "io/json_text.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace lille {
namespace {

using nlohmann::json;

// Follows the path while the text is read, and writes down what stands at its end.
class TextAt : public nlohmann::json_sax<json> {
 public:
  explicit TextAt(std::span<const std::string_view> path) : path_(path) {}

  std::string take() { return std::move(text_); }

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& digits) override { return scalar(digits); }
  bool string(string_t& value) override { return !is_wanted() || scalar(json(value).dump()); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return start('{', true); }
  bool start_array(std::size_t) override { return start('[', false); }
  bool end_object() override { return end('}'); }
  bool end_array() override { return end(']'); }

  bool key(string_t& name) override {
    if (n_written_levels_ > 0) {
      separate();
      text_ += json(name).dump() + ':';
      is_separate_ = true;
    } else {
      is_next_ = n_levels_ == n_matched_ + 1 && name == path_[n_matched_];
    }
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }

 private:
  // Whether the value that begins is the one at the path's end, or a part of it.
  bool is_wanted() const { return n_written_levels_ > 0 || (is_next_ && n_matched_ + 1 == path_.size()); }

  void separate() {
    if (!std::exchange(is_separate_, false)) text_ += ',';
  }

  bool scalar(std::string_view value) {
    if (!is_wanted()) {
      is_next_ = false;
      return true;
    }
    if (n_written_levels_ > 0) separate();
    text_ += value;
    return n_written_levels_ > 0;
  }

  bool start(char bracket, bool is_object) {
    if (is_wanted()) {
      if (n_written_levels_ > 0) separate();
      text_ += bracket;
      ++n_written_levels_;
      is_separate_ = true;
      return true;
    }
    if (std::exchange(is_next_, false) && is_object) ++n_matched_;
    ++n_levels_;
    return true;
  }

  // Nothing is read behind what is wanted, nor behind an object on the way to it: no name stands twice.
  bool end(char bracket) {
    if (n_written_levels_ > 0) {
      text_ += bracket;
      is_separate_ = false;
      return --n_written_levels_ > 0;
    }
    return --n_levels_ > n_matched_;
  }

  std::span<const std::string_view> path_;
  std::size_t n_matched_ = 0;         // names of the path that lead to the object that is read
  std::size_t n_levels_ = 0;          // objects and arrays that are open, without those that are written
  std::size_t n_written_levels_ = 0;  // those
  bool is_next_ = false;              // what comes is what the next name of the path leads to
  bool is_separate_ = false;          // nothing stands before what is written next
  std::string text_;
};

}  // namespace

std::string json_text_at(std::string_view text, std::span<const std::string_view> path) {
  TextAt reader(path);
  json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace lille
