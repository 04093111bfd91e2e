#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lille {

/// The chat form of Tokenizer::apply_chat_template as a template in Jinja's language, for other programs.
/// Source: Nikityyy/lille huggingface/export_hf.py.
inline constexpr std::string_view kLilleChatTemplate =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<|user|>' + message['content'] + '<|assistant|>' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}";

/// Whether a template is kLilleChatTemplate, written perhaps with other quotes, trimming marks, and spaces
/// where they do not come out. Templates are compared and never run.
bool is_lille_chat_template(std::string_view text);

/// Why a model, named as by Model::path, has another chat template than Lille's, or one that cannot be read;
/// empty if it has Lille's or none.
std::string chat_template_fault(const std::filesystem::path& model);

/// Whether a model, named as by Model::path, has a chat template of any kind.
/// @throws Error as check_chat_template for a malformed file.
bool has_chat_template(const std::filesystem::path& model);

}  // namespace lille
