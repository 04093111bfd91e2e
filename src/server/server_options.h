#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "generate/options.h"

namespace lille {

/// How a server listens, whom it serves and how much it takes on, as a user says it.
struct ServerOptions {
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  std::string api_key_file = {};
  bool without_api_key = false;
  std::string tls_cert = {};
  std::string tls_key = {};
  std::vector<std::string> cors_origin = {};
  std::vector<std::string> allowed_host = {};
  std::vector<std::string> trusted_proxy = {};
  std::string model_id = {};
  std::string access_log = "api";
  bool strict = false;
  std::string system_messages = "prepend";
  BatchOptions batch = {.completion_batch_size = 32, .prefill_batch_size = 2};
  int64_t prefill_step_size = 64;
  int64_t max_queue = 1024;
  int64_t prefix_cache_mib = 256;
  int64_t max_connections = 1100;
  int64_t max_body_kib = 1024;
  int64_t request_timeout = 600;
  int64_t read_timeout = 20;
  int64_t write_timeout = 20;
  int64_t idle_timeout = 15;
  int64_t stuck_after = 60;
  int64_t grace = 30;
};

/// Calls visit(const OptionSpec&, field&) for each option that says who is served.
template <typename Options, typename Visitor>
void visit_access_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"host", "", "ADDRESS",
                   "Address to listen on. One that is not of this machine alone needs --api-key-file."},
        options.host);
  visit(OptionSpec{"port", "", "N", "Port to listen on; 0 takes a free one.", 0, 65535}, options.port);
  visit(OptionSpec{"api_key_file", "", "FILE",
                   "Answer only requests with one of these keys, one a line: Authorization: Bearer KEY."},
        options.api_key_file);
  visit(OptionSpec{"without_api_key", "", "", "Serve anybody who reaches --host, whatever address it is."},
        options.without_api_key);
  visit(OptionSpec{"tls_cert", "", "FILE",
                   "Speak HTTPS with this certificate, followed by those of who signed it (PEM); needs "
                   "--tls-key."},
        options.tls_cert);
  visit(OptionSpec{"tls_key", "", "FILE", "The certificate's private key (PEM), without a passphrase."},
        options.tls_key);
  visit(
      OptionSpec{"cors_origin", "", "ORIGIN",
                 "Let web pages of this origin use the server, such as https://example.org; * is any; may be "
                 "given several times."},
      options.cors_origin);
  visit(OptionSpec{"allowed_host", "", "NAME",
                   "Another name that requests may call this server by; may be given several times. On an "
                   "address of this machine alone only its own names are."},
        options.allowed_host);
  visit(
      OptionSpec{"trusted_proxy", "", "NETWORK",
                 "A proxy, such as 10.20.0.1 or 10.0.0.0/8, whose X-Forwarded-For says where a request comes "
                 "from, and nobody else; may be given several times."},
      options.trusted_proxy);
  visit(OptionSpec{"model_id", "", "NAME",
                   "What clients call the model. Default: the name of its folder or file."},
        options.model_id);
  visit(
      OptionSpec{
          "access_log", "", "WHICH",
          "Which requests have a line on stderr: api (those of the API, and of the page's files, /health "
          "and /metrics what fails), all or off.",
          0, 0, "api|all|off"},
      options.access_log);
  visit(OptionSpec{"strict", "", "", "Refuse requests with unknown fields instead of ignoring these."},
        options.strict);
  visit(OptionSpec{"system_messages", "", "HOW",
                   "What happens to messages of the system, which Lille was not trained with: prepend (they "
                   "stand before the first message of the user) or refuse.",
                   0, 0, "prepend|refuse"},
        options.system_messages);
}

/// Calls visit(const OptionSpec&, field&) for each option of a ServerOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, ServerOptions>
void visit_options(Options& options, Visitor&& visit) {
  constexpr double kMaxSeconds = 86400;
  visit_access_options(options, visit);
  visit_options(options.batch, visit);
  visit(
      OptionSpec{
          "prefill_step_size", "", "N",
          "Most tokens of a prompt that are read in one pass: fewer let the answers beside it flow more "
          "evenly, more are faster.",
          1, 4096},
      options.prefill_step_size);
  visit(OptionSpec{"max_queue", "", "N", "Most answers that wait for a place; then requests get status 429.",
                   1, 1e6},
        options.max_queue);
  visit(OptionSpec{"prefix_cache_mib", "", "N",
                   "MiB of what was read that are kept for prompts that begin alike; 0: none.", 0, 1 << 20},
        options.prefix_cache_mib);
  visit(OptionSpec{"max_connections", "", "N",
                   "Most connections at once, each with a thread; others are told to come again.", 1, 20000},
        options.max_connections);
  visit(OptionSpec{"max_body_kib", "", "N", "Most KiB of a request's body.", 1, 1 << 20},
        options.max_body_kib);
  visit(OptionSpec{"request_timeout", "", "SECONDS", "A request that takes longer is given up.", 1,
                   kMaxSeconds},
        options.request_timeout);
  visit(OptionSpec{"read_timeout", "", "SECONDS",
                   "A client that takes longer to send its request is dropped.", 1, kMaxSeconds},
        options.read_timeout);
  visit(OptionSpec{"write_timeout", "", "SECONDS", "A client that reads nothing for so long is dropped.", 1,
                   kMaxSeconds},
        options.write_timeout);
  visit(OptionSpec{"idle_timeout", "", "SECONDS", "A connection without a request is closed after this.", 1,
                   kMaxSeconds},
        options.idle_timeout);
  visit(OptionSpec{"stuck_after", "", "SECONDS",
                   "/health says that the model is stuck when a pass takes longer.", 1, kMaxSeconds},
        options.stuck_after);
  visit(OptionSpec{"grace", "", "SECONDS", "At SIGTERM, requests under way have so long to end.", 0,
                   kMaxSeconds},
        options.grace);
}

}  // namespace lille
