#pragma once

#include <nlohmann/json.hpp>

#include "server/answering.h"

namespace lille {

/// /v1/tokenize: `prompt` (a text) or `messages` to `tokens`, `count`, `max_model_len`.
/// @throws RefusedRequest that names the field.
ApiReply tokenize_text(const Exchange& exchange, const nlohmann::json& body);
/// /v1/detokenize: `tokens` to `prompt`, a text.
/// @throws RefusedRequest that names the field.
ApiReply detokenize_ids(const Exchange& exchange, const nlohmann::json& body);
/// /v1/score: how likely each of `continuations` is after `prompt`. Texts are cut into tokens as by
/// encode_continuation.
/// @throws RefusedRequest that names the field; as read_text.
ApiReply score_continuations(const Exchange& exchange, const nlohmann::json& body);
/// /v1/embeddings: for each text of `input` the mean of its last hidden states, (n_embd), not normalised.
/// @throws RefusedRequest that names the field; as read_text.
ApiReply embed_texts(const Exchange& exchange, const nlohmann::json& body);

/// /v1/inspect: what the model would say after each of its blocks, and where one token looks.
/// @throws RefusedRequest that names the field; as read_text.
ApiReply inspect_text(const Exchange& exchange, const nlohmann::json& body);

}  // namespace lille
