#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/answer_json.h"
#include "server/generation_request.h"
#include "server/metrics.h"
#include "server/scheduler.h"

namespace lille {

/// What answering one request needs.
struct Exchange {
  Scheduler& scheduler;
  const ServedModel& model;
  const ApiRequest& request;  ///< Not used once a reply with a stream is made.
  std::shared_ptr<RequestRecord> record;
  std::chrono::steady_clock::time_point deadline;  ///< When the request is given up.
  uint64_t seed = 0;                               ///< For a request that says none.
  int64_t created = 0;                             ///< Seconds since 1970.
};

/// Throws RefusedRequest with status 429 for a full queue.
[[noreturn]] void refuse_full_queue();

/// Throws RefusedRequest if the client has gone (kClientGone) or the time is over (504).
void check_waiting(const Exchange& exchange);

/// Reads a text, waiting for its turn.
/// @throws RefusedRequest as check_waiting and refuse_full_queue; Error as Scheduler::Reading::wait.
ReadingResult read_text(const Exchange& exchange, ReadingRequest reading);

/// Makes the answers that a request asks for, or the stream that tells them.
/// @throws RefusedRequest as read_text; Error of an answer that failed.
ApiReply answer_request(const Exchange& exchange, const GenerationRequest& request);

}  // namespace lille
