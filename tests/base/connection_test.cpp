#include "base/connection.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

namespace lille {
namespace {

Connection::Time after_ms(int64_t n_ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(n_ms);
}

// Long enough that what must come has come.
Connection::Time late() { return after_ms(240'000); }

class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error("no sockets");
    connection_.emplace(ends[0], 1 << 14);
    other_ = ends[1];
  }
  ~ConnectionTest() override { hang_up(); }
  void hang_up() {
    if (other_ >= 0) close(std::exchange(other_, -1));
  }

  std::optional<Connection> connection_;
  int other_ = -1;
};

TEST_F(ConnectionTest, BytesGoBothWays) {
  std::array<char, 8> bytes{};
  ASSERT_EQ(send(other_, "abc", 3, 0), 3);
  EXPECT_TRUE(connection_->wait_readable(late()));
  EXPECT_EQ(connection_->read(bytes.data(), bytes.size(), late()), 3u);
  EXPECT_EQ(std::string(bytes.data(), 3), "abc");
  EXPECT_EQ(connection_->write("xy", 2, late()), 2u);
  EXPECT_EQ(recv(other_, bytes.data(), bytes.size(), 0), 2);
}

TEST_F(ConnectionTest, ACallEndsWhenItsTimeIsOver) {
  char byte = 0;
  EXPECT_FALSE(connection_->wait_readable(after_ms(1)));
  EXPECT_EQ(connection_->read(&byte, 1, after_ms(1)), 0u);
  const std::string much(1 << 16, 'x');
  std::size_t n_sent = 0;
  while (const std::size_t n_bytes = connection_->write(much.data(), much.size(), after_ms(20)))
    n_sent += n_bytes;
  // Nobody reads, and the system keeps no more than it was told to.
  EXPECT_GT(n_sent, 0u);
  EXPECT_LT(n_sent, 1u << 20);
}

TEST_F(ConnectionTest, TheOtherSidesEndIsSeen) {
  EXPECT_FALSE(connection_->is_gone());
  hang_up();
  char byte = 0;
  EXPECT_TRUE(connection_->is_gone());
  EXPECT_TRUE(connection_->wait_readable(late()));
  EXPECT_EQ(connection_->read(&byte, 1, late()), 0u);
  EXPECT_EQ(connection_->write("x", 1, late()), 0u);
}

TEST_F(ConnectionTest, ShuttingDownWakesWhoWaits) {
  std::thread ender([this] { connection_->shut_down(); });
  char byte = 0;
  EXPECT_EQ(connection_->read(&byte, 1, late()), 0u);
  ender.join();
}

TEST_F(ConnectionTest, LingeringReadsAwayWhatComes) {
  ASSERT_EQ(send(other_, "abc", 3, 0), 3);
  ASSERT_EQ(shutdown(other_, SHUT_WR), 0);
  connection_->linger(late());
  char byte = 0;
  EXPECT_EQ(recv(other_, &byte, 1, 0), 0);
}

TEST_F(ConnectionTest, APeerWithoutAnAddressHasNone) { EXPECT_EQ(connection_->peer_address(), ""); }

TEST(Connection, OverTCPThePeerHasAnAddress) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  reuse_address(listener);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t n_bytes = sizeof(place);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&place), n_bytes), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  widen_backlog(listener, 16);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&place), &n_bytes), 0);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&place), n_bytes), 0);
  const Connection connection(accept(listener, nullptr, nullptr), 1 << 14);
  EXPECT_EQ(connection.peer_address(), "127.0.0.1");
  close(client);
  close(listener);
}

}  // namespace
}  // namespace lille
