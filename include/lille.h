#pragma once

/// @defgroup c_api The library from C
/// Handles, status codes, no exceptions (docs/C_API.md). C11; C++ programs have
/// lille/lille.h.
///
/// Every function that can fail returns a lille_status and tells more in a lille_error if it gets one. What
/// it would have written through its pointers is then NULL or 0. NULL where a pointer is expected, negative
/// and huge sizes, and values out of range are refused; a pointer must otherwise lead to as many elements as
/// are said, and a handle must be one that the library made and nobody freed.

#include <stdint.h>

#include "lille/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/// @addtogroup c_api
/// @{

/// How a call came out: one of lille_status_code.
typedef int32_t lille_status;

/// What a lille_status may be.
enum lille_status_code {
  LILLE_OK = 0,                ///< It worked.
  LILLE_INVALID_ARGUMENT = 1,  ///< An argument or option is wrong.
  LILLE_INVALID_SHAPE = 2,     ///< A buffer has another size than what goes there.
  LILLE_UNSUPPORTED = 3,       ///< Valid, but not something this build or machine can do.
  LILLE_NOT_FOUND = 4,         ///< A file, folder or name does not exist.
  LILLE_CORRUPT_FILE = 5,      ///< A file's content contradicts its format.
  LILLE_IO = 6,                ///< The operating system refused.
  LILLE_OUT_OF_MEMORY = 7,     ///< Memory could not be had.
  LILLE_CANCELED = 8,          ///< A callback or lille_session_cancel ended it.
  LILLE_INTERNAL = 9           ///< A fault of the library itself.
};

/// "ok", "invalid_argument", "not_found", ...; "unknown" for a number that is no status. Never NULL.
const char* lille_status_name(lille_status status);

/// Bytes of lille_error::message, the zero at its end included.
#define LILLE_MESSAGE_BYTES 1024

/// Why a call failed. The caller owns it; a function that gets one writes it whole, with LILLE_OK and an
/// empty message if it succeeds.
typedef struct lille_error {
  lille_status status;                ///< What the call returned.
  char message[LILLE_MESSAGE_BYTES];  ///< One line of UTF-8; ends in "..." if it was longer.
} lille_error;

/// The version of the library that runs, as LILLE_VERSION was when it was built.
const char* lille_version(void);

/// Frees what lille_tokenize, lille_detokenize, lille_encode_prompt, lille_apply_chat_template or
/// lille_generate allocated. NULL is ignored.
void lille_free(void* memory);

/// Options by the names of the command line (docs/GENERATION.md). One thread sets them at a time; any number
/// of threads may pass them to other functions while nobody does.
typedef struct lille_options lille_options;

/// A model: weights, tokenizer, defaults. Immutable; any number of threads use it.
typedef struct lille_model lille_model;

/// A tokenizer. Immutable; any number of threads use it.
typedef struct lille_tokenizer lille_tokenizer;

/// Threads and memory to run a model with. One call at a time uses it: a second one, from another thread or
/// from a callback, is refused. Only lille_session_cancel may come from anywhere.
typedef struct lille_session lille_session;

/// Makes options of which none is set.
lille_status lille_options_create(lille_options** options, lille_error* error);

/// Frees them. NULL is ignored; what was made with them is not touched.
void lille_options_free(lille_options* options);

/// Sets an option from text, as its flag does: "temperature" to "0.7", "exact" to "true" or "false",
/// "logit_bias" to "262:-2,11:-inf". "stop" may be set several times, each time to one more text.
/// @param name   As lille_option_name gives it, with a dash or an underscore between words.
/// @param value  Numbers have a point and no space, whatever the locale.
/// @return LILLE_INVALID_ARGUMENT that names the option and what it takes; the option then stays as it was.
lille_status lille_options_set(lille_options* options, const char* name, const char* value,
                               lille_error* error);

/// Sets an option that takes a number to a whole one; as lille_options_set.
/// @return LILLE_INVALID_ARGUMENT for an option that takes something else.
lille_status lille_options_set_int(lille_options* options, const char* name, int64_t value,
                                   lille_error* error);

/// Sets an option that takes a number; as lille_options_set_int.
lille_status lille_options_set_double(lille_options* options, const char* name, double value,
                                      lille_error* error);

/// Where measured rotary layouts are remembered (docs/ROPE.md), so that only the first load of a file takes
/// the time. Unless it is set, nothing is remembered.
lille_status lille_options_set_cache_folder(lille_options* options, const char* folder, lille_error* error);

/// Lets lille_model_load, and the option draft, take names of the Hugging Face hub, too, as docs/HUB.md
/// writes them: what exists as a path is that, other names are looked for in the cache and downloaded where
/// they are missing or have changed. Unless it is set, nothing is sent anywhere.
/// @param cache_folder  Where downloads are kept, shared with Python's huggingface_hub:
///   "cache/huggingface/hub".
/// @param endpoint      NULL: "https://huggingface.co".
/// @param token         Sent to the endpoint and nowhere else; NULL: none.
/// @param offline       0: ask the hub; else: use what is in the cache and nothing else.
/// @return LILLE_INVALID_ARGUMENT if cache_folder is NULL or empty. What the endpoint or a name is worth
/// shows
///   when a model is loaded.
lille_status lille_options_set_hub(lille_options* options, const char* cache_folder, const char* endpoint,
                                   const char* token, int32_t offline, lille_error* error);

/// Receives one line about something that works but that a user should know; must not throw.
typedef void (*lille_warning_callback)(const char* message, void* user_data);

/// What lille_model_load and lille_session_create call with warnings, in the thread that called them.
/// @param callback   NULL: warnings are dropped.
/// @param user_data  Given to the callback.
lille_status lille_options_set_warning_callback(lille_options* options, lille_warning_callback callback,
                                                void* user_data, lille_error* error);

/// The name of an option, "max_tokens" for example, for option_idx from 0 on; NULL behind the last one.
const char* lille_option_name(int64_t option_idx);

/// What the option does, in a sentence; NULL for a name that no option has.
const char* lille_option_help(const char* name);

/// Loads a model and what stands beside it: tokenizer and generation defaults.
/// @param path     A folder, a GGUF file or a .pt file (docs/CHECKPOINTS.md), UTF-8; after
///   lille_options_set_hub a name on the hub, too.
/// @param options  rope, threads, the cache folder, the hub and the warning callback count; NULL: none
///   is set.
/// @return LILLE_NOT_FOUND, LILLE_CORRUPT_FILE, LILLE_UNSUPPORTED; LILLE_IO if a download fails;
/// LILLE_INVALID_ARGUMENT if the tokenizer is
///   not the model's. Without any tokenizer there, it loads, and only functions that need one fail.
lille_status lille_model_load(const char* path, const lille_options* options, lille_model** model,
                              lille_error* error);

/// Frees the handle. NULL is ignored. Sessions and tokenizers made with it go on.
void lille_model_free(lille_model* model);

/// What a model is. Later versions may append fields.
typedef struct lille_model_info {
  int64_t block_size;       ///< Longest context, tokens.
  int64_t vocab_size;       ///< Numbers of a row of logits; ids are less.
  int64_t n_embd;           ///< Width of a hidden state.
  int64_t n_head;           ///< Query heads.
  int64_t n_kv_heads;       ///< Key/value heads.
  int64_t n_layer;          ///< Blocks.
  int64_t hidden_dim;       ///< Inner width of the MLP.
  int64_t n_parameters;     ///< Weights, scales and biases not counted.
  int64_t n_bytes;          ///< Of the weights as stored.
  double rope_theta;        ///< Base of the rotary frequencies.
  double layer_norm_eps;    ///< Added to the mean square in RMSNorm.
  int64_t has_tokenizer;    ///< 1 if there is one, else 0.
  const char* rope_layout;  ///< "interleaved", "half" or "original".
  const char* form;         ///< What lies there: "safetensors folder"; lives as long as the handle.
} lille_model_info;

/// Copies what is known of the model.
/// @param info_bytes  sizeof(lille_model_info) as the caller knows it: fields beyond it are not written, and
///   bytes beyond what this library knows become zero.
/// @return LILLE_INVALID_ARGUMENT for no such size, and nothing is written then.
lille_status lille_model_get_info(const lille_model* model, lille_model_info* info, int64_t info_bytes,
                                  lille_error* error);

/// Loads a tokenizer alone.
/// @param path  As for lille_model_load; a folder needs only the tokenizer's files.
lille_status lille_tokenizer_load(const char* path, lille_tokenizer** tokenizer, lille_error* error);

/// The tokenizer of a model, as a handle of its own.
/// @return LILLE_NOT_FOUND if the model came without one.
lille_status lille_tokenizer_of_model(const lille_model* model, lille_tokenizer** tokenizer,
                                      lille_error* error);

/// Frees the handle. NULL is ignored.
void lille_tokenizer_free(lille_tokenizer* tokenizer);

/// Number of tokens; -1 for NULL.
int64_t lille_tokenizer_vocab_size(const lille_tokenizer* tokenizer);

/// The id of the token that is called so, "<|startoftext|>" for example; -1 for a name that is none of the
/// control tokens, and for NULL.
int32_t lille_tokenizer_special_token(const lille_tokenizer* tokenizer, const char* name);

/// Text, or any bytes, to ids. Names of control tokens in it are ordinary text.
/// @param n_bytes   Of the text, without a zero at its end.
/// @param tokens    Set to n_tokens ids, for lille_free; not NULL even if there are none.
lille_status lille_tokenize(const lille_tokenizer* tokenizer, const char* text, int64_t n_bytes,
                            int32_t** tokens, int64_t* n_tokens, lille_error* error);

/// Ids to bytes, which end in a zero that n_bytes does not count. Control tokens give their names.
/// @param text     For lille_free.
/// @param n_bytes  May be NULL.
lille_status lille_detokenize(const lille_tokenizer* tokenizer, const int32_t* tokens, int64_t n_tokens,
                              char** text, int64_t* n_bytes, lille_error* error);

/// A prompt as `lille generate` makes it of a text: with `<|startoftext|>` before it if the option bos, or
/// else the model, says so.
/// @param options  Only bos counts; NULL: none is set.
/// @param tokens   Set to at least one id, for lille_free.
lille_status lille_encode_prompt(const lille_model* model, const lille_options* options, const char* text,
                                 int64_t n_bytes, int32_t** tokens, int64_t* n_tokens, lille_error* error);

/// One turn of a chat.
typedef struct lille_chat_message {
  const char* role;     ///< "user" or "assistant".
  const char* content;  ///< Never becomes a control token.
} lille_chat_message;

/// A chat in the form that the model was trained on; after a last message from the user it ends where the
/// assistant speaks.
/// @param tokens  Set to n_tokens ids, for lille_free.
/// @return LILLE_INVALID_ARGUMENT for another role; LILLE_UNSUPPORTED if a chat template of another form
///   stands beside the tokenizer.
lille_status lille_apply_chat_template(const lille_tokenizer* tokenizer, const lille_chat_message* messages,
                                       int64_t n_messages, int32_t** tokens, int64_t* n_tokens,
                                       lille_error* error);

/// Makes a session.
/// @param options  threads, exact, kv_bits, and draft with its options count, the warning callback for a
///   draft model; NULL: none is set.
lille_status lille_session_create(const lille_model* model, const lille_options* options,
                                  lille_session** session, lille_error* error);

/// Frees it. NULL is ignored. No call may be running on it.
void lille_session_free(lille_session* session);

/// Ends the call that is running on the session, which then returns LILLE_CANCELED before the next block of
/// the model; does nothing if none is running. From any thread; not from a signal handler. NULL is ignored.
void lille_session_cancel(lille_session* session);

/// What computes: the name of the kernels, such as "avx512 q8"; lives as long as the session. NULL for NULL.
const char* lille_session_kernels(const lille_session* session);

/// A token and its log-probability.
typedef struct lille_token_logprob {
  int32_t token;  ///< Its id.
  float logprob;  ///< ln of its probability, before the sampler's filters.
} lille_token_logprob;

/// Why an answer ended.
enum lille_finish_reason {
  LILLE_FINISH_NONE = 0,   ///< It has not.
  LILLE_FINISH_STOP = 1,   ///< At `<|endoftext|>`, `<|user|>` or a stop string.
  LILLE_FINISH_LENGTH = 2  ///< At max_tokens or the end of the context.
};

/// One piece of an answer. Only the library makes one, and it is gone after the callback; later versions may
/// append fields.
typedef struct lille_response {
  const char* text;       ///< What can be shown now: whole characters, often none; ends in a zero.
  int64_t n_bytes;        ///< Of the text, without that zero.
  int32_t token;          ///< The id of the token; -1 if max_tokens is 0.
  float logprob;          ///< Of the token, before the sampler's filters.
  const float* logprobs;  ///< (vocab_size) of all tokens; NULL if there is no token.
  int64_t vocab_size;     ///< Numbers in logprobs.
  const lille_token_logprob* top_logprobs;  ///< As many as the option top_logprobs says, the likeliest first.
  int64_t n_top_logprobs;                   ///< How many these are.
  int64_t prompt_tokens;                    ///< Of the prompt, without those that were left out.
  int64_t n_dropped_tokens;                 ///< Of the prompt: left out because of the option overflow.
  int64_t n_cached_tokens;    ///< Of prompt_tokens: known from the session's last answer, not read again.
  int64_t generation_tokens;  ///< Generated so far, an end token included.
  int64_t n_drafted_tokens;   ///< Guessed by the option draft so far.
  int64_t n_accepted_tokens;  ///< Of these: right.
  double prompt_tps;          ///< Prompt tokens per second, without those known before.
  double prompt_s;            ///< Seconds until the first token was known.
  double generation_tps;      ///< Generated tokens per second after the prompt.
  uint64_t seed;              ///< Of the random numbers: set as the option seed, it gives the same answer.
  int32_t finish_reason;      ///< One of lille_finish_reason; another than none in the last response only.
} lille_response;

/// Receives each response of an answer in the thread that called lille_generate; must not throw, nor use the
/// session but for lille_session_cancel.
/// @return 0 to go on; anything else ends the answer here.
typedef int (*lille_response_callback)(const lille_response* response, void* user_data);

/// Answers a prompt. What the prompt shares with the last one and its answer is not read again, which never
/// changes an answer: a chat passes its whole conversation each time.
/// @param prompt       (n_prompt) ids.
/// @param options      All that say how an answer is made; NULL: none is set.
/// @param on_response  May be NULL.
/// @param user_data    Given to the callback.
/// @param text         The whole answer, for lille_free; ends in a zero; may be NULL.
/// @param n_bytes      Of the text, without that zero; may be NULL.
/// @return LILLE_CANCELED if the callback or lille_session_cancel ended it; `text` is then what was made so
///   far.
lille_status lille_generate(lille_session* session, const int32_t* prompt, int64_t n_prompt,
                            const lille_options* options, lille_response_callback on_response,
                            void* user_data, char** text, int64_t* n_bytes, lille_error* error);

/// Writes to a file what the session read for its last answer, so that a later session need not read it
/// again; the option max_tokens 0 makes lille_generate read a prompt and answer nothing. The file appears
/// whole or not at all.
/// @return LILLE_NOT_FOUND, LILLE_INVALID_ARGUMENT or LILLE_IO if it cannot be written there.
lille_status lille_save_prompt_cache(lille_session* session, const char* path, lille_error* error);

/// Makes the session remember what lille_save_prompt_cache wrote, in place of its last answer: the next
/// prompt is read from where it differs. If it fails, the session remembers what it did.
/// @return LILLE_INVALID_ARGUMENT for a cache of another model, rotary layout, kv_bits or other kernels;
///   LILLE_CORRUPT_FILE, LILLE_NOT_FOUND, LILLE_UNSUPPORTED.
lille_status lille_load_prompt_cache(lille_session* session, const char* path, lille_error* error);

/// Of which tokens lille_logits gives logits.
enum lille_logits_for {
  LILLE_LOGITS_LAST = 0,  ///< Of the last one: (vocab_size).
  LILLE_LOGITS_ALL = 1    ///< Of each: (n_tokens, vocab_size).
};

/// The logits of the token that follows, in one pass over at most block_size tokens.
/// @param logits_for  One of lille_logits_for.
/// @param logits      Memory of the caller's; nothing is written unless all is.
/// @param n_logits    Numbers it has room for: exactly as many as there will be.
/// @return LILLE_INVALID_SHAPE for another number of logits.
lille_status lille_logits(lille_session* session, const int32_t* tokens, int64_t n_tokens, int32_t logits_for,
                          float* logits, int64_t n_logits, lille_error* error);

/// The mean of the tokens' last hidden states, after the final norm: what `/v1/embeddings` gives.
/// @param values    Memory of the caller's.
/// @param n_values  Numbers it has room for: exactly n_embd.
/// @return LILLE_INVALID_SHAPE for another number of values.
lille_status lille_embed(lille_session* session, const int32_t* tokens, int64_t n_tokens, float* values,
                         int64_t n_values, lille_error* error);

/// @}

#ifdef __cplusplus
}
#endif
