#include "server/web.h"

#include <regex>
#include <set>

#include "server/api_client.h"
#include "support.h"

namespace lille {
namespace {

using test::read_file;
using test::source_path;

std::string path_of(const EmbeddedFile& file) { return std::string(kWebPrefix) + std::string(file.name); }

// What a regular expression's first group says, everywhere in a text.
std::vector<std::string> found_in(std::string_view text, const std::string& pattern) {
  const std::regex regex(pattern);
  const std::string copy(text);
  std::vector<std::string> found;
  for (std::sregex_iterator match(copy.begin(), copy.end(), regex), end; match != end; ++match)
    found.push_back((*match)[1].str());
  return found;
}

TEST(Web, FilesAreThoseOfTheFolderByteForByte) {
  std::set<std::string> embedded;
  for (const EmbeddedFile& file : kEmbeddedFiles) {
    embedded.emplace(file.name);
    EXPECT_EQ(file.bytes, read_file(source_path("src/server/web") / file.name)) << file.name;
  }
  std::set<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("src/server/web")))
    there.insert(entry.path().filename());
  EXPECT_EQ(embedded, there);
}

TEST(Web, PathsLeadToFilesAndNowhereElse) {
  EXPECT_EQ(web_file("/").value().content_type, "text/html; charset=utf-8");
  EXPECT_EQ(web_file("/web/app.js").value().content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(web_file("/web/style.css").value().content_type, "text/css; charset=utf-8");
  EXPECT_EQ(web_file("/web/icon.svg").value().content_type, "image/svg+xml");
  for (const char* path : {"", "/web", "/web/", "/web/index.html", "/index.html", "/app.js",
                           "/web/../web/app.js", "/web/app.js/", "/web//app.js", "/WEB/app.js"})
    EXPECT_FALSE(web_file(path)) << path;
}

// Every file that a file names is there, and none names another place.
TEST(Web, NothingComesFromElsewhere) {
  for (const EmbeddedFile& file : kEmbeddedFiles) {
    for (const std::string& name : found_in(file.bytes, R"re((?:href|src)="(/[^"]*)")re"))
      EXPECT_TRUE(web_file(name)) << file.name << " names " << name;
    for (const std::string& name : found_in(file.bytes, R"re(from '\./([^']*)')re"))
      EXPECT_TRUE(web_file(std::string(kWebPrefix) + name)) << file.name << " names " << name;
    for (const std::string& url : found_in(file.bytes, R"re((https?://[^"' ]*))re"))
      EXPECT_EQ(url, "http://www.w3.org/2000/svg") << file.name;
  }
}

// What a strict policy forbids, and what would make HTML of a model's text.
TEST(Web, NothingRunsThatIsNoModule) {
  const std::regex forbidden(
      R"re(innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|)re"
      R"re(createContextualFragment|DOMParser|<[^>]* on\w+=|<[^>]* style=|javascript:)re");
  for (const EmbeddedFile& file : kEmbeddedFiles) {
    std::smatch match;
    const std::string text(file.bytes);
    EXPECT_FALSE(std::regex_search(text, match, forbidden)) << file.name << ": " << match.str();
  }
  for (const std::string& script : found_in(web_file("/").value().bytes, "<script([^>]*)>"))
    EXPECT_NE(script.find("src=\"/web/"), std::string::npos) << script;
}

class WebReplyTest : public test::ApiClient {};

TEST_F(WebReplyTest, TheServerGivesThePageToEverybodyWithItsPolicy) {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.api_key_file = folder.write("keys", "0123456789abcdef\n").string();
  start(options);
  EXPECT_EQ(get("/v1/models").status, 401);
  for (const EmbeddedFile& file : kEmbeddedFiles) {
    const std::string path = file.name == "index.html" ? "/" : path_of(file);
    const ApiReply reply = get(path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.body, file.bytes) << path;
    EXPECT_EQ(header(reply, "X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(header(reply, "Cache-Control"), "no-cache");
    const std::string policy = header(reply, "Content-Security-Policy");
    EXPECT_TRUE(policy.starts_with("default-src 'none'; ")) << policy;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
    EXPECT_EQ(policy.find('*'), std::string::npos) << policy;
  }
  EXPECT_EQ(post("/", "{}").status, 405);
  EXPECT_EQ(get("/web/nothing.js").status, 401);
}

TEST_F(WebReplyTest, WhatTheBrowserHasIsNotSentAgain) {
  const std::string tag = header(get("/web/app.js"), "ETag");
  EXPECT_NE(tag, header(get("/"), "ETag"));
  const ApiReply same = send({.method = "GET", .path = "/web/app.js", .headers = {{"if-none-match", tag}}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(header(same, "ETag"), tag);
  const ApiReply other =
      send({.method = "GET", .path = "/web/app.js", .headers = {{"if-none-match", "\"x\""}}});
  EXPECT_EQ(other.status, 200);
}

}  // namespace
}  // namespace lille
