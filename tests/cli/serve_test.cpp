#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>

#include "program.h"

namespace lille::test {
namespace {

// Sends a request to a port of this machine and takes the whole reply.
std::string talk(int port, const std::string& request) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<uint16_t>(port));
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  if (connect(socket, reinterpret_cast<sockaddr*>(&place), sizeof(place)) == 0) {
    send(socket, request.data(), request.size(), MSG_NOSIGNAL);
    std::array<char, 4096> chunk;
    for (ssize_t n_read; (n_read = recv(socket, chunk.data(), chunk.size(), 0)) > 0;)
      reply.append(chunk.data(), static_cast<std::size_t>(n_read));
  }
  close(socket);
  return reply;
}

std::string request_of(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Serve, AnswersUntilASignalEndsIt) {
  for (const int signal : {SIGTERM, SIGINT}) {
    std::string reply;
    RunOptions options;
    const TemporaryFolder folder;
    // Its stdout is a file, so that the port can be read while it runs.
    const std::filesystem::path out = folder.write("out", "");
    std::thread client([&] {
      std::string address;
      while (!address.ends_with('\n')) {
        address = read_file(out);
        std::this_thread::yield();
      }
      const int port = std::stoi(address.substr(address.rfind(':') + 1));
      reply = talk(port, request_of("/v1/completions", R"({"prompt": "Once", "max_tokens": 3, "seed": 1})"));
      const std::string pid =
          talk(port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      EXPECT_NE(pid.find("\"ok\""), std::string::npos) << pid;
      kill(std::stoi(read_file(folder.path() / "pid")), signal);
    });
    options.stdout_file = out;
    options.wrapper = {"sh", "-c", "echo $$ > \"$0\"; exec \"$@\"", (folder.path() / "pid").string()};
    const Finished finished = run_lille({"serve", "--port", "0", "--grace", "200"}, options);
    client.join();
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 ")) << reply;
    EXPECT_TRUE(read_file(out).starts_with("http://127.0.0.1:"));
    // A line for each request of the API, and what is said at the end.
    EXPECT_NE(finished.err.find("\"path\":\"/v1/completions\",\"status\":200"), std::string::npos)
        << finished.err;
    EXPECT_EQ(finished.err.find("/health"), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find("lille: stopping"), std::string::npos) << finished.err;
    EXPECT_EQ(finished.err.find("Once"), std::string::npos);
  }
}

TEST(Serve, WrongOptionsAreRefusedBeforeAnythingIsLoaded) {
  expect_failure(kWrongUsage, "--port: expected", {"serve", "--port", "65536"});
  expect_failure(kWrongUsage, "expected --api-key-file", {"serve", "--host", "0.0.0.0"});
  expect_failure(kWrongUsage, "--cors-origin", {"serve", "--cors-origin", "x"});
  expect_failure(kWrongUsage, "expected --tls-key", {"serve", "--tls-cert", "x"});
  expect_failure(kWrongUsage, "--system-messages", {"serve", "--system-messages", "x"});
  expect_failure(kWrongUsage, "--trusted-proxy: expected an address", {"serve", "--trusted-proxy", "nginx"});
  expect_failure(kWrongUsage, "--access-log: expected api, all or off", {"serve", "--access-log", "x"});
  expect_failure(kFailed, "/nonexistent", {"serve", "--api-key-file", "/nonexistent"});
}

}  // namespace
}  // namespace lille::test
