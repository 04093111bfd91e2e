#include "server/tls.h"

#include <openssl/err.h>

#include <future>
#include <optional>
#include <thread>

#include "server/sockets.h"
#include "server/tls_client.h"

namespace lille {
namespace {

using test::TestCertificate;
using test::TlsClient;

Connection::Time tls_time(int64_t n_ms) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(n_ms);
}
// Long enough that what must come has come.
Connection::Time tls_late() { return tls_time(240'000); }

TEST(TlsContext, SaysWhatIsWrongWithFiles) {
  const TestCertificate certificate;
  const TestCertificate other;
  const test::TemporaryFolder folder;
  const auto expect = [&](ErrorCode code, std::string_view part, const std::filesystem::path& cert,
                          const std::filesystem::path& key) {
    test::expect_error(code, part, [&] { TlsContext(cert, key); });
  };
  const std::string cert = certificate.certificate_path();
  const std::string key = certificate.key_path();
  const auto text = folder.write("text", "nothing\n");
  const auto both = folder.write("both", certificate.key_text() + certificate.certificate_text());
  EXPECT_NO_THROW(TlsContext(cert, key));
  EXPECT_NO_THROW(TlsContext(both, both));
  EXPECT_NO_THROW(
      TlsContext(folder.write("chain", certificate.certificate_text() + other.certificate_text()), key));
  expect(ErrorCode::kNotFound, "--tls-cert: ", folder.path() / "missing", key);
  expect(ErrorCode::kNotFound, "--tls-key: ", cert, folder.path() / "missing");
  expect(ErrorCode::kIo, "--tls-cert: ", folder.path(), key);
  expect(ErrorCode::kInvalidArgument, "text: expected a certificate in PEM form", text, key);
  expect(ErrorCode::kInvalidArgument, "text: expected a private key in PEM form", cert, text);
  expect(ErrorCode::kInvalidArgument, "expected a certificate in PEM form", key, cert);
  expect(ErrorCode::kInvalidArgument, "expected the key of the certificate in " + cert + ", got another's",
         cert, other.key_path());
  expect(ErrorCode::kInvalidArgument, "without a passphrase, got an encrypted one", cert,
         folder.write("secret", certificate.key_text("12345678")));
  expect(ErrorCode::kInvalidArgument, "got one after the first that cannot be read",
         folder.write("broken", certificate.certificate_text() +
                                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
         key);
  const TestCertificate weak(512);
  expect(ErrorCode::kInvalidArgument, "got one that OpenSSL refuses: ee key too small",
         weak.certificate_path(), weak.key_path());
}

TEST(TlsContext, BothOptionsAreGivenOrNeither) {
  const TestCertificate certificate;
  EXPECT_FALSE(make_tls_context({}));
  EXPECT_TRUE(
      make_tls_context({.tls_cert = certificate.certificate_path(), .tls_key = certificate.key_path()}));
  test::expect_error(ErrorCode::kInvalidArgument, "--tls-cert: expected --tls-key",
                     [&] { make_tls_context({.tls_cert = certificate.certificate_path()}); });
  test::expect_error(ErrorCode::kInvalidArgument, "--tls-key: expected --tls-cert",
                     [&] { make_tls_context({.tls_key = certificate.key_path()}); });
}

class TlsSessionTest : public testing::Test {
 protected:
  TlsSessionTest() {
    const auto [ours, theirs] = test::socket_pair();
    connection_.emplace(ours, 1 << 14);
    other_ = theirs;
    session_.emplace(context_, *connection_);
    client_.emplace(other_, certificate_);
  }
  ~TlsSessionTest() override { hang_up(); }

  void hang_up() {
    if (other_ >= 0) close(std::exchange(other_, -1));
  }
  // What the client could not shake hands for (0: it could), and how it went for the server.
  std::pair<int, TlsSession::Handshake> shake_hands() {
    auto client = std::async(std::launch::async, [this] {
      return client_->shake_hands() ? 0 : ERR_GET_REASON(ERR_peek_last_error());
    });
    const TlsSession::Handshake outcome = session_->shake_hands(tls_late());
    return {client.get(), outcome};
  }
  void open() { ASSERT_EQ(shake_hands(), std::make_pair(0, TlsSession::Handshake::kDone)); }
  std::string take(std::size_t n_bytes) {
    std::string text(n_bytes, '\0');
    text.resize(session_->read(text.data(), n_bytes, tls_late()));
    return text;
  }

  TestCertificate certificate_;
  TlsContext context_{certificate_.certificate_path(), certificate_.key_path()};
  std::optional<Connection> connection_;
  std::optional<TlsSession> session_;
  Patience patience_{std::chrono::minutes(4)};
  int other_ = -1;
  std::optional<TlsClient> client_;
};

TEST_F(TlsSessionTest, BytesGoBothWaysInVersions12And13) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto [ours, theirs] = test::socket_pair();
    hang_up();
    connection_.emplace(ours, 1 << 14);
    other_ = theirs;
    session_.emplace(context_, *connection_);
    client_.emplace(other_, certificate_);
    client_->use_version(version);
    open();
    ASSERT_TRUE(client_->send("abcdef"));
    EXPECT_TRUE(session_->wait_readable(tls_late()));
    EXPECT_EQ(take(4), "abcd");
    // The rest of the record is there, and nothing of it on the socket.
    EXPECT_TRUE(session_->wait_readable(tls_time(0)));
    EXPECT_EQ(take(4), "ef");
    EXPECT_FALSE(session_->wait_readable(tls_time(1)));
    EXPECT_EQ(session_->write("xyz", 3, patience_), 3u);
    EXPECT_EQ(client_->read_until("xyz"), "xyz");
    session_->end(tls_late());
    EXPECT_EQ(client_->read_all(), "xyz");
    EXPECT_TRUE(client_->was_ended());
    EXPECT_FALSE(SSL_session_reused(client_->ssl()));
  }
}

TEST_F(TlsSessionTest, OlderVersionsAreRefused) {
  client_->use_version(TLS1_1_VERSION);
  EXPECT_EQ(shake_hands(),
            std::make_pair(SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, TlsSession::Handshake::kFailed));
}

TEST_F(TlsSessionTest, HttpInsideIsVersion11) {
  const std::string two = "\x02h2\x08http/1.1";
  SSL_set_alpn_protos(client_->ssl(), reinterpret_cast<const unsigned char*>(two.data()),
                      static_cast<unsigned int>(two.size()));
  open();
  const unsigned char* name = nullptr;
  unsigned int n_bytes = 0;
  SSL_get0_alpn_selected(client_->ssl(), &name, &n_bytes);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(name), n_bytes), "http/1.1");
}

TEST_F(TlsSessionTest, WhoSpeaksAnotherHttpOnlyIsRefused) {
  SSL_set_alpn_protos(client_->ssl(), reinterpret_cast<const unsigned char*>("\x02h2"), 3);
  EXPECT_EQ(shake_hands(),
            std::make_pair(SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, TlsSession::Handshake::kFailed));
}

TEST_F(TlsSessionTest, TheSessionIsNotNegotiatedAgain) {
  client_->use_version(TLS1_2_VERSION);
  open();
  ASSERT_EQ(SSL_renegotiate(client_->ssl()), 1);
  auto again = std::async(std::launch::async, [this] {
    return SSL_do_handshake(client_->ssl()) == 1 ? 0 : ERR_GET_REASON(ERR_peek_last_error());
  });
  char byte = 0;
  // Ends when the client has gone, whom the refusal drives away.
  auto reading = std::async(std::launch::async, [&] { return session_->read(&byte, 1, tls_late()); });
  EXPECT_EQ(again.get(), SSL_R_NO_RENEGOTIATION);
  hang_up();
  EXPECT_EQ(reading.get(), 0u);
}

TEST_F(TlsSessionTest, PlainHttpIsToldApart) {
  const std::string_view request = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(send(other_, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  EXPECT_EQ(session_->shake_hands(tls_late()), TlsSession::Handshake::kPlainHttp);
  char byte = 0;
  EXPECT_EQ(recv(other_, &byte, 1, MSG_DONTWAIT), -1);
}

TEST_F(TlsSessionTest, WhatIsNoHandshakeEndsIt) {
  const std::string garbage(1000, '\xff');
  ASSERT_EQ(send(other_, garbage.data(), garbage.size(), 0), static_cast<ssize_t>(garbage.size()));
  EXPECT_EQ(session_->shake_hands(tls_late()), TlsSession::Handshake::kFailed);
  EXPECT_EQ(session_->write("x", 1, patience_), 0u);
  char byte = 0;
  EXPECT_EQ(session_->read(&byte, 1, tls_late()), 0u);
  EXPECT_TRUE(session_->has_ended());
}

TEST_F(TlsSessionTest, AHandshakeHasATimeAndEndsWithTheClient) {
  EXPECT_EQ(session_->shake_hands(tls_time(1)), TlsSession::Handshake::kFailed);
  hang_up();
  EXPECT_EQ(session_->shake_hands(tls_late()), TlsSession::Handshake::kFailed);
}

TEST_F(TlsSessionTest, AClientThatDoesNotReadIsGivenUp) {
  open();
  const std::string much(1 << 16, 'x');
  std::size_t n_sent = 0;
  Patience little(std::chrono::milliseconds(20));
  while (const std::size_t n_bytes = session_->write(much.data(), much.size(), little)) n_sent += n_bytes;
  EXPECT_EQ(little.left(), Patience::Duration::zero());
  EXPECT_GT(n_sent, 0u);
  EXPECT_LT(n_sent, 1u << 20);
  // It broke in the middle of a record: nothing can follow, and nothing is waited for.
  EXPECT_EQ(session_->write("x", 1, patience_), 0u);
  session_->end(tls_late());
}

TEST_F(TlsSessionTest, AnEndIsSeenWithoutWaiting) {
  open();
  EXPECT_FALSE(session_->has_ended());
  ASSERT_EQ(SSL_shutdown(client_->ssl()), 0);
  // The connection itself is still there.
  EXPECT_FALSE(connection_->is_gone());
  EXPECT_TRUE(session_->has_ended());
  EXPECT_TRUE(session_->wait_readable(tls_late()));
  char byte = 0;
  EXPECT_EQ(session_->read(&byte, 1, tls_late()), 0u);
}

TEST_F(TlsSessionTest, WhatWaitsToBeReadIsNoEndAndStays) {
  open();
  ASSERT_TRUE(client_->send("next"));
  EXPECT_FALSE(session_->has_ended());
  EXPECT_FALSE(session_->has_ended());
  EXPECT_EQ(take(9), "next");
}

TEST_F(TlsSessionTest, AClientCannotHaveAnswersPileUp) {
  client_->use_version(TLS1_3_VERSION);
  open();
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(SSL_key_update(client_->ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client_->ssl()), 1);
    EXPECT_FALSE(session_->has_ended());
  }
  // Answered with the next bytes, which the client can read.
  EXPECT_EQ(session_->write("on", 2, patience_), 2u);
  EXPECT_EQ(client_->read_until("on"), "on");
}

}  // namespace
}  // namespace lille
