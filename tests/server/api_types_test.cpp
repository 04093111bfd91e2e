#include "server/api_types.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lille {
namespace {

TEST(ApiErrors, EveryKindHasAStatus) {
  const auto status = [](ErrorCode code) { return status_of(Error(code, "x")); };
  EXPECT_EQ(status(ErrorCode::kInvalidArgument), 400);
  EXPECT_EQ(status(ErrorCode::kNotFound), 404);
  EXPECT_EQ(status(ErrorCode::kUnsupported), 501);
  EXPECT_EQ(status(ErrorCode::kCanceled), 503);
  EXPECT_EQ(status(ErrorCode::kOutOfMemory), 503);
  EXPECT_EQ(status(ErrorCode::kInternal), 500);
  EXPECT_EQ(status(ErrorCode::kIo), 500);
  EXPECT_EQ(status_of(RefusedRequest(418, "x")), 418);
}

TEST(ApiErrors, TheBodyHasOpenAIsForm) {
  EXPECT_EQ(
      nlohmann::json::parse(error_body(RefusedRequest(400, "n: no", "n", "bad"))),
      nlohmann::json::parse(
          R"({"error": {"message": "n: no", "type": "invalid_request_error", "param": "n", "code": "bad"}})"));
  EXPECT_EQ(nlohmann::json::parse(error_body(Error(ErrorCode::kInternal, "x")))["error"]["type"],
            "server_error");
  EXPECT_EQ(nlohmann::json::parse(error_body(RefusedRequest(429, "x")))["error"]["type"], "rate_limit_error");
  EXPECT_EQ(nlohmann::json::parse(error_body(RefusedRequest(401, "x")))["error"]["type"],
            "authentication_error");
  EXPECT_EQ(nlohmann::json::parse(error_body(RefusedRequest(403, "x")))["error"]["type"], "permission_error");
  // Bytes that are no UTF-8 do not make it invalid.
  EXPECT_TRUE(nlohmann::json::accept(error_body(RefusedRequest(400, "\xff\n\"", "\xfe"))));
}

TEST(ApiRequests, AHeaderThatDidNotComeIsEmpty) {
  const ApiRequest request = {.method = "GET", .path = "/", .headers = {{"a", ""}}};
  EXPECT_EQ(request.header("b"), "");
  EXPECT_TRUE(request.find_header("a"));
  EXPECT_FALSE(request.find_header("b"));
}

}  // namespace
}  // namespace lille
