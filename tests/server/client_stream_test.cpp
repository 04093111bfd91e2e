#include "server/client_stream.h"

#include "server/sockets.h"

namespace lille {
namespace {

class ClientStreamTest : public testing::Test {
 protected:
  ClientStreamTest() {
    const auto [ours, theirs] = test::socket_pair();
    stream_.emplace(ours, ServerOptions{.read_timeout = 1, .write_timeout = 1, .idle_timeout = 1});
    other_ = theirs;
  }
  ~ClientStreamTest() override {
    if (other_ >= 0) close(other_);
  }

  void give(std::string_view bytes) const {
    ASSERT_EQ(send(other_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // What can be read, byte by byte, until it fails.
  std::string take() {
    std::string text;
    char byte = 0;
    while (stream_->read(&byte, 1) == 1) text += byte;
    return text;
  }

  std::optional<ClientStream> stream_;
  int other_ = -1;
};

TEST_F(ClientStreamTest, BytesComeThroughUntilTheTimeIsOver) {
  give("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(stream_->await_request());
  // The rest does not come: reading ends after read_timeout.
  EXPECT_EQ(take(), "GET / HTTP/1.1\r\n");
  EXPECT_FALSE(stream_->has_too_large_head());
}

TEST_F(ClientStreamTest, NoRequestIsWaitedForTooLong) { EXPECT_FALSE(stream_->await_request()); }

TEST_F(ClientStreamTest, AHeadHasABoundOfBytes) {
  give("GET /" + std::string(ClientStream::kMaxHeadBytes, 'x'));
  ASSERT_TRUE(stream_->await_request());
  EXPECT_EQ(static_cast<int64_t>(take().size()), ClientStream::kMaxHeadBytes);
  EXPECT_TRUE(stream_->has_too_large_head());
}

TEST_F(ClientStreamTest, AHeadHasABoundOfLines) {
  std::string head;
  for (int64_t idx = 0; idx <= ClientStream::kMaxHeadLines; ++idx) head += "a:\n";
  give(head);
  ASSERT_TRUE(stream_->await_request());
  EXPECT_LT(take().size(), head.size());
  EXPECT_TRUE(stream_->has_too_large_head());
}

TEST_F(ClientStreamTest, ABodyHasABound) {
  give("head0123456789");
  ASSERT_TRUE(stream_->await_request());
  std::array<char, 4> head;
  ASSERT_EQ(stream_->read(head.data(), head.size()), 4);
  stream_->begin_body(6);
  EXPECT_EQ(take(), "012345");
}

TEST_F(ClientStreamTest, AClientThatDoesNotReadIsGivenUp) {
  const std::string piece(1 << 16, 'x');
  // The system takes some; then nothing moves for write_timeout.
  int n_pieces = 0;
  while (stream_->write(piece.data(), piece.size()) > 0) ASSERT_LT(++n_pieces, 1000);
  EXPECT_TRUE(stream_->has_written());
}

TEST_F(ClientStreamTest, AClientThatHasGoneIsSeen) {
  EXPECT_TRUE(stream_->is_writable());
  close(std::exchange(other_, -1));
  EXPECT_TRUE(stream_->is_gone());
  EXPECT_FALSE(stream_->is_writable());
  EXPECT_EQ(stream_->write("x", 1), -1);
}

}  // namespace
}  // namespace lille
