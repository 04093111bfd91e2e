#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/access.h"
#include "server/answering.h"
#include "server/api_types.h"
#include "server/metrics.h"
#include "server/server_options.h"

namespace lille {

/// OpenAI's HTTP API over a scheduler, without sockets: requests in, replies out (docs/SERVER.md). Any thread
/// calls it.
class Api {
 public:
  /// @param scheduler  outlives this object and every stream of a reply.
  /// @param seed       of request ids and of answers whose requests say none: another one for each server.
  /// @param log        receives a line for each request, without anything of its text; may be empty.
  /// @throws Error as AccessRules; Error(kInvalidArgument) for an option out of range.
  Api(Scheduler& scheduler, ServedModel model, const ServerOptions& options, uint64_t seed,
      LogCallback log = {});

  /// Answers a request. Errors are replies; it throws nothing but what memory that runs out throws.
  ApiReply handle(const ApiRequest& request);
  /// What a request is refused with before its body is read; nothing if it may go on.
  std::optional<ApiReply> refuse_head(const ApiRequest& request);
  /// The reply to a request that HTTP itself refuses: it is counted, logged, and has the form of all errors.
  ApiReply refuse(const ApiRequest& request, const RefusedRequest& error);

  /// New requests are refused from now on, and /health says so.
  void drain() noexcept { is_draining_ = true; }
  /// Ends everything that is under way: replies and streams end with an error.
  void cancel_all() { scheduler_.cancel_all(); }
  /// Requests that are not answered to their end.
  int64_t n_open() const { return metrics_.n_open(); }

 private:
  using Endpoint = ApiReply (Api::*)(const Exchange& exchange);
  struct Route {
    std::string_view path;
    std::string_view method;
    bool needs_key;
    bool is_routine;  // a page, or something that is asked again and again
    Endpoint endpoint;
  };
  static const Route kRoutes[];

  static const Route* find_route(const ApiRequest& request);
  static const Route& checked_route(const ApiRequest& request);
  std::shared_ptr<RequestRecord> open_record(const ApiRequest& request);
  ApiReply answer(const ApiRequest& request, const std::shared_ptr<RequestRecord>& record);
  ApiReply error_reply(const Error& error, RequestRecord& record) const;
  ApiReply finished(ApiReply reply, const ApiRequest& request, RequestRecord& record) const;
  void check_head(const ApiRequest& request) const;
  uint64_t next_number();

  ApiReply chat_completions(const Exchange& exchange);
  ApiReply completions(const Exchange& exchange);
  ApiReply embeddings(const Exchange& exchange);
  ApiReply score(const Exchange& exchange);
  ApiReply inspect(const Exchange& exchange);
  ApiReply tokenize(const Exchange& exchange);
  ApiReply detokenize(const Exchange& exchange);
  ApiReply models(const Exchange& exchange);
  ApiReply one_model(const Exchange& exchange);
  ApiReply health(const Exchange& exchange);
  ApiReply metrics(const Exchange& exchange);
  ApiReply page(const Exchange& exchange);

  Scheduler& scheduler_;
  ServedModel model_;
  ServerOptions options_;
  AccessRules access_;
  Metrics metrics_;
  uint64_t seed_;
  std::atomic<uint64_t> n_requests_ = 0;
  std::atomic<bool> is_draining_ = false;
  int64_t start_s_;  // seconds since 1970
};

}  // namespace lille
