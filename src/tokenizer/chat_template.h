#pragma once

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

}  // namespace lille
