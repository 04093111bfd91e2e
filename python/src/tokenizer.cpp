#include "tokenizer.h"

#include <pybind11/stl.h>

#include <set>

#include "bindings.h"
#include "conversions.h"
#include "lille/multiple_choice.h"

namespace lille::python {
namespace {

namespace py = pybind11;

std::vector<int32_t> encode(const TokenizerHandle& self, const py::object& text, bool add_special_tokens,
                            bool parse_special) {
  EncodeOptions options;
  options.parse_special = parse_special;
  std::vector<int32_t> ids = self.tokenizer.encode(read_text(text, "[encode] text"), options);
  if (add_special_tokens && self.add_bos_token) ids.insert(ids.begin(), self.tokenizer.bos_token_id());
  return ids;
}

std::string decoded(const TokenizerHandle& self, const py::object& ids, bool skip_special_tokens) {
  std::vector<int32_t> kept = read_ids(ids, "[decode] ids");
  if (skip_special_tokens) std::erase_if(kept, [&](int32_t id) { return self.tokenizer.is_special(id); });
  return self.tokenizer.decode(kept);
}

std::vector<ChatMessage> read_messages(const py::object& messages) {
  std::vector<ChatMessage> chat;
  for (const py::handle message : messages)
    chat.push_back({read_text(message["role"], "[apply_chat_template] role"),
                    read_text(message["content"], "[apply_chat_template] content")});
  return chat;
}

py::object apply_chat_template(const TokenizerHandle& self, const py::object& messages,
                               bool add_generation_prompt, bool tokenize) {
  std::vector<int32_t> ids = self.tokenizer.apply_chat_template(read_messages(messages));
  if (!add_generation_prompt && !ids.empty() && ids.back() == self.tokenizer.assistant_token_id())
    ids.pop_back();
  if (tokenize) return py::cast(ids);
  return make_text(self.tokenizer.decode(ids));
}

std::string name_of(const TokenizerHandle& self, int32_t id) {
  return std::string(self.tokenizer.token_bytes(id));
}

void add_detokenizer(py::module_& module) {
  py::class_<DetokenizerHandle>(module, "StreamingDetokenizer",
                                "Turns ids into text as they come, in whole characters.")
      .def(py::init([](const TokenizerHandle& tokenizer) {
             return DetokenizerHandle{StreamingDetokenizer(tokenizer.tokenizer), {}, {}};
           }),
           py::arg("tokenizer"))
      .def(
          "add_token",
          [](DetokenizerHandle& self, int32_t token) {
            self.last_segment = self.detokenizer.add_token(token);
            self.text += self.last_segment;
          },
          py::arg("token"))
      .def("finalize",
           [](DetokenizerHandle& self) {
             self.last_segment = self.detokenizer.finalize();
             self.text += self.last_segment;
           })
      .def("reset",
           [](DetokenizerHandle& self) {
             self.detokenizer.reset();
             self.text.clear();
             self.last_segment.clear();
           })
      .def_property_readonly("text", [](const DetokenizerHandle& self) { return make_text(self.text); })
      .def_property_readonly("last_segment",
                             [](const DetokenizerHandle& self) { return make_text(self.last_segment); });
}

}  // namespace

void add_tokenizer(py::module_& module) {
  py::class_<TokenizerHandle>(module, "Tokenizer", "Hastings, Lille's tokenizer.")
      .def("encode", encode, py::arg("text"), py::arg("add_special_tokens") = true, py::kw_only(),
           py::arg("parse_special") = false)
      .def(
          "decode",
          [](const TokenizerHandle& self, const py::object& ids, bool skip_special_tokens) {
            return make_text(decoded(self, ids, skip_special_tokens));
          },
          py::arg("ids"), py::arg("skip_special_tokens") = false)
      .def(
          "decode_bytes",
          [](const TokenizerHandle& self, const py::object& ids, bool skip_special_tokens) {
            return py::bytes(decoded(self, ids, skip_special_tokens));
          },
          py::arg("ids"), py::arg("skip_special_tokens") = false)
      .def("apply_chat_template", apply_chat_template, py::arg("messages"), py::kw_only(),
           py::arg("add_generation_prompt") = true, py::arg("tokenize") = true)
      .def_property_readonly("vocab_size",
                             [](const TokenizerHandle& self) { return self.tokenizer.vocab_size(); })
      .def("__len__", [](const TokenizerHandle& self) { return self.tokenizer.vocab_size(); })
      .def_property_readonly("detokenizer",
                             [](const TokenizerHandle& self) {
                               return DetokenizerHandle{StreamingDetokenizer(self.tokenizer), {}, {}};
                             })
      .def_readonly("add_bos_token", &TokenizerHandle::add_bos_token)
      .def_property_readonly("bos_token_id",
                             [](const TokenizerHandle& self) { return self.tokenizer.bos_token_id(); })
      .def_property_readonly("eos_token_id",
                             [](const TokenizerHandle& self) { return self.tokenizer.eos_token_id(); })
      .def_property_readonly("pad_token_id",
                             [](const TokenizerHandle& self) { return self.tokenizer.pad_token_id(); })
      .def_property_readonly(
          "eos_token_ids",
          [](const TokenizerHandle& self) {
            return std::set<int32_t>{self.tokenizer.eos_token_id(), self.tokenizer.user_token_id()};
          })
      .def_property_readonly(
          "bos_token",
          [](const TokenizerHandle& self) { return name_of(self, self.tokenizer.bos_token_id()); })
      .def_property_readonly(
          "eos_token",
          [](const TokenizerHandle& self) { return name_of(self, self.tokenizer.eos_token_id()); })
      .def_property_readonly("pad_token", [](const TokenizerHandle& self) {
        return name_of(self, self.tokenizer.pad_token_id());
      });
  add_detokenizer(module);
  module.def(
      "encode_continuation",
      [](const TokenizerHandle& tokenizer, const py::object& context, const py::object& continuation,
         bool bos) {
        EncodedContinuation ids =
            encode_continuation(tokenizer.tokenizer, read_text(context, "[encode_continuation] context"),
                                read_text(continuation, "[encode_continuation] continuation"), bos);
        return std::make_pair(std::move(ids.context), std::move(ids.continuation));
      },
      py::arg("tokenizer"), py::arg("context"), py::arg("continuation"), py::arg("bos"));
}

}  // namespace lille::python
