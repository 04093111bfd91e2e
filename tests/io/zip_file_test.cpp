#include "io/zip_file.h"

#include <gtest/gtest.h>

#include "io/torch_archive.h"
#include "support.h"

namespace lille {
namespace {

using test::directory_header;
using test::expect_error;
using test::le;
using test::local_header;
using test::with_number;
using test::zip_bytes;
using test::ZipEnd;
using test::ZipMember;

const std::vector<ZipMember> kMembers = {
    {"toy/data.pkl", "pickle"}, {"toy/long", std::string(100'000, 'x'), true}, {"toy/empty", ""}};

ZipFile open(const test::TemporaryFolder& folder, const std::string& bytes) {
  return ZipFile(MappedFile(folder.write("a.zip", bytes)));
}

void expect_bad_archive(const std::string& bytes, std::string_view message,
                        ErrorCode code = ErrorCode::kCorruptFile) {
  const test::TemporaryFolder folder;
  expect_error(code, message, [&] { open(folder, bytes); });
  expect_error(code, "a.zip: ", [&] { open(folder, bytes); });
}

TEST(ZipFile, ReadsStoredAndDeflatedMembers) {
  for (const ZipEnd end : {ZipEnd::kPlain, ZipEnd::kZip64}) {
    const test::TemporaryFolder folder;
    const ZipFile zip = open(folder, zip_bytes(kMembers, end));
    ASSERT_EQ(zip.entries().size(), 3u);
    for (const ZipMember& member : kMembers) {
      const ZipEntry* entry = zip.find(member.name);
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->n_bytes, member.content.size());
      EXPECT_EQ(entry->is_deflated, member.is_deflated);
      EXPECT_EQ(zip.read_text(*entry, 100'000), member.content);
      zip.check_content(*entry);
    }
    EXPECT_EQ(zip.find("toy/data"), nullptr);
    EXPECT_EQ(zip.total_bytes(), 100'006u);
    const ZipEntry& stored = *zip.find("toy/data.pkl");
    EXPECT_EQ(stored.data.size(), 6u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(stored.data.data()) % 64, 0u);
  }
}

/// The comment holds what could be an end, were it at the end.
TEST(ZipFile, ReadsACommentAndFolders) {
  const std::vector<ZipMember> members = {{"toy/", ""}, {"toy/a", "text"}};
  const std::string fake = "PK\5\6" + std::string(18, '\0');
  const std::string bytes = zip_bytes(members, ZipEnd::kPlain);
  const test::TemporaryFolder folder;
  const ZipFile zip = open(folder, with_number(bytes, bytes.size() - 2, fake.size() + 3, 2) + fake + "end");
  EXPECT_EQ(zip.read_text(*zip.find("toy/a"), 4), "text");
}

TEST(ZipFile, Zip64FieldsOfAMember) {
  const std::string name = "toy/data.pkl";
  const std::string good = zip_bytes(std::vector<ZipMember>{{name, "pickle"}}, ZipEnd::kPlain);
  const auto with_extra = [&](const std::string& extra) {
    std::string bytes = good;
    const std::size_t header = directory_header(bytes, name);
    for (const std::size_t field : {20, 24, 42}) bytes = with_number(bytes, header + field, 0xffffffff, 4);
    bytes = with_number(bytes, header + 30, extra.size(), 2);
    bytes.insert(header + 46 + name.size(), extra);
    return with_number(bytes, bytes.size() - 10, bytes.size() - 22 - header, 4);
  };
  const std::string sizes = le(6, 8) + le(6, 8) + le(0, 8);
  const std::string other = "XY" + le(3, 2) + "abc";
  const test::TemporaryFolder folder;
  const ZipFile zip = open(folder, with_extra(other + le(1, 2) + le(24, 2) + sizes));
  EXPECT_EQ(zip.read_text(*zip.find(name), 6), "pickle");

  expect_bad_archive(with_extra(le(1, 2) + le(20, 2) + sizes.substr(0, 20)), "got a field too short");
  expect_bad_archive(with_extra(le(1, 2) + le(25, 2) + sizes),
                     "expected an extra field that ends in its header");
  expect_bad_archive(with_extra(le(1, 2) + le(24, 2) + sizes + le(1, 2) + le(24, 2) + sizes),
                     "expected one Zip64 field, got two");
  expect_bad_archive(with_extra(le(1, 2) + le(24, 2) + le(1ull << 63, 8) + le(1ull << 63, 8) + le(0, 8)),
                     "expected 9223372036854775808 bytes before the directory");
  expect_bad_archive(with_extra(le(1, 2) + le(24, 2) + le(6, 8) + le(6, 8) + le(~0ull, 8)),
                     "expected its local header at offset 18446744073709551615");
  expect_bad_archive(with_extra(""), "expected its local header at offset 4294967295");
}

TEST(ZipFile, FilesThatAreNoZip) {
  expect_bad_archive("", "expected a zip file, got 0 bytes");
  expect_bad_archive(std::string(21, 'x'), "expected a zip file, got 21 bytes");
  expect_bad_archive(std::string(100'000, 'x'), "expected a zip file with its directory at the end");
}

TEST(ZipFile, CutOffAnywhere) {
  const std::string bytes = zip_bytes(std::vector<ZipMember>{{"toy/data.pkl", "pickle"}});
  const test::TemporaryFolder folder;
  for (std::size_t n_bytes = 0; n_bytes < bytes.size(); ++n_bytes)
    expect_error(ErrorCode::kCorruptFile, "a.zip", [&] { open(folder, bytes.substr(0, n_bytes)); });
  // A cut at the front moves every offset.
  for (std::size_t n_bytes = 1; n_bytes < bytes.size(); ++n_bytes)
    expect_error(ErrorCode::kCorruptFile, "a.zip", [&] { open(folder, bytes.substr(n_bytes)); });
}

TEST(ZipFile, EndsThatAreWrong) {
  const std::string good = zip_bytes(kMembers);
  const std::size_t end = good.size() - 22;
  const std::size_t locator = end - 20;
  const std::size_t end64 = locator - 56;
  const auto refused = [&](std::size_t offset, uint64_t value, int n_bytes, std::string_view message,
                           ErrorCode code = ErrorCode::kCorruptFile) {
    expect_bad_archive(with_number(good, offset, value, n_bytes), message, code);
  };
  refused(end + 10, 4, 2, "expected both ends of the directory to say the same");
  refused(end + 12, 4, 4, "expected both ends of the directory to say the same");
  refused(end + 16, 4, 4, "expected both ends of the directory to say the same");
  refused(locator + 8, end64 + 1, 8, "expected the Zip64 end of the directory at offset");
  refused(locator + 8, ~0ull, 8, "expected the Zip64 end of the directory at offset 18446744073709551615");
  refused(locator + 4, 1, 4, "got a part of several", ErrorCode::kUnsupported);
  refused(locator + 16, 2, 4, "got a part of several", ErrorCode::kUnsupported);
  refused(end64 + 16, 1, 4, "got a part of several", ErrorCode::kUnsupported);
  refused(end64 + 24, 2, 8, "got a part of several", ErrorCode::kUnsupported);

  const std::string plain = zip_bytes(kMembers, ZipEnd::kPlain);
  const std::size_t plain_end = plain.size() - 22;
  expect_bad_archive(with_number(plain, plain_end + 4, 1, 2), "got a part of several",
                     ErrorCode::kUnsupported);
  expect_bad_archive(with_number(plain, plain_end + 8, 1, 2), "got a part of several",
                     ErrorCode::kUnsupported);
  expect_bad_archive(with_number(with_number(plain, plain_end + 8, 2, 2), plain_end + 10, 2, 2),
                     "expected a directory of");
  expect_bad_archive(with_number(with_number(plain, plain_end + 8, 0xffff, 2), plain_end + 10, 0xffff, 2),
                     "members in a directory of");
  expect_bad_archive(with_number(plain, plain_end + 16, 0xffffffff, 4), "expected a directory before offset");
  expect_bad_archive(with_number(plain, plain_end + 12, 0xffffffff, 4), "expected a directory before offset");
  expect_bad_archive(with_number(plain, plain_end + 16, 0, 4), "expected the header of a member at offset 0");
}

TEST(ZipFile, HeadersThatAreWrong) {
  const std::string good = zip_bytes(kMembers);
  const std::size_t entry = directory_header(good, "toy/data.pkl");
  const std::size_t local = local_header(good, "toy/data.pkl");
  const auto refused = [&](std::size_t offset, uint64_t value, int n_bytes, std::string_view message,
                           ErrorCode code = ErrorCode::kCorruptFile) {
    expect_bad_archive(with_number(good, offset, value, n_bytes), message, code);
  };
  for (const uint64_t flags : {0x809, 0x848, 0x2808})
    refused(entry + 8, flags, 2, "expected no encryption", ErrorCode::kUnsupported);
  refused(entry + 8, 0x828, 2, "got a patch", ErrorCode::kUnsupported);
  for (const uint64_t method : {1, 9, 12, 14, 93, 99})
    refused(entry + 10, method, 2, "expected stored or deflated data, got method", ErrorCode::kUnsupported);
  refused(entry + 20, 7, 4, "expected 6 stored bytes for 7 bytes");
  refused(entry + 24, 0xfffffffe, 4, "expected 4294967294 stored bytes for 6 bytes");
  refused(entry + 28, 0xffff, 2, "to end in the directory");
  refused(entry + 30, 0xffff, 2, "to end in the directory");
  refused(entry + 34, 1, 2, "got a part of several", ErrorCode::kUnsupported);
  refused(entry + 42, 1, 4, "expected its local header at offset 1");
  refused(entry + 42, 0xfffffff0, 4, "expected its local header at offset 4294967280");
  refused(entry, 0, 4, "expected the header of a member at offset");
  refused(local, 0, 4, "expected its local header at offset 0");
  refused(local + 8, 8, 2, "expected the same in its local header and in the directory");
  refused(local + 6, 0x809, 2, "expected the same in its local header and in the directory");
  refused(local + 6, 0x800, 2, "expected the same in its local header and in the directory");
  refused(local + 26, 3, 2, "expected the same in its local header and in the directory");
  refused(local + 30, 'x', 1, "expected the same in its local header and in the directory");
  refused(local + 28, 0xffff, 2, "bytes before the directory");
}

TEST(ZipFile, NamesThatLeadOut) {
  for (const std::string name : {"../data.pkl", "toy/../data.pkl", "toy/..", "/toy/data.pkl", "toy//data",
                                 "./data.pkl", "C:/data.pkl", "toy\\data.pkl", "", "toy/.", "a\nb/.."})
    expect_bad_archive(zip_bytes(std::vector<ZipMember>{{name, "x"}}), "expected a name inside the archive");
  expect_bad_archive(zip_bytes(std::vector<ZipMember>{{std::string("a\0b", 3), "x"}}),
                     "expected a name inside the archive");
}

TEST(ZipFile, ANameTwice) {
  expect_bad_archive(zip_bytes(std::vector<ZipMember>{{"toy/a", "x"}, {"toy/b", "y"}, {"toy/a", "x"}}),
                     "\"toy/a\": expected each name once, got it twice");
}

TEST(ZipFile, MembersThatOverlap) {
  // The first member's data grow over the header of the second.
  std::string bytes = zip_bytes(std::vector<ZipMember>{{"toy/a", "x"}, {"toy/b", "y"}});
  const std::size_t entry = directory_header(bytes, "toy/a");
  bytes = with_number(with_number(bytes, entry + 20, 40, 4), entry + 24, 40, 4);
  expect_bad_archive(bytes, "\"toy/b\": expected it to begin after the end of \"toy/a\"");
}

TEST(ZipFile, BombsAreRefused) {
  // More than deflate can make.
  std::string bytes = zip_bytes(kMembers);
  bytes = with_number(bytes, directory_header(bytes, "toy/long") + 24, 0xfffffff0, 4);
  expect_bad_archive(bytes, "expected at most 1032 times its");
  // As much as deflate can make: a hundred megabytes in a tenth of one.
  expect_bad_archive(zip_bytes(std::vector<ZipMember>{{"toy/zeros", std::string(100'000'000, '\0'), true}}),
                     "expected members of at most");
  // The true length is another than the directory says.
  for (const uint64_t n_bytes : {99'999, 100'001}) {
    bytes = zip_bytes(kMembers);
    bytes = with_number(bytes, directory_header(bytes, "toy/long") + 24, n_bytes, 4);
    const test::TemporaryFolder folder;
    const ZipFile zip = open(folder, bytes);
    expect_error(ErrorCode::kCorruptFile, "\"toy/long\": expected deflated data of",
                 [&] { zip.inflate(*zip.find("toy/long")); });
  }
}

TEST(ZipFile, DamagedContentIsFound) {
  for (const std::string name : {"toy/data.pkl", "toy/long"}) {
    std::string bytes = zip_bytes(kMembers);
    const std::size_t crc = directory_header(bytes, name) + 16;
    bytes = with_number(bytes, crc, 0x12345678, 4);
    const test::TemporaryFolder folder;
    const ZipFile zip = open(folder, bytes);
    const ZipEntry& entry = *zip.find(name);
    expect_error(ErrorCode::kCorruptFile, "expected the checksum 12345678",
                 [&] { zip.check_content(entry); });
    expect_error(ErrorCode::kCorruptFile, "expected the checksum", [&] { zip.read_text(entry, 1 << 20); });
    // A writer that computes none leaves zeros.
    const test::TemporaryFolder other;
    const ZipFile unchecked = open(other, with_number(bytes, crc, 0, 4));
    unchecked.check_content(*unchecked.find(name));
  }
}

TEST(ZipFile, ATextIsBounded) {
  const test::TemporaryFolder folder;
  const ZipFile zip = open(folder, zip_bytes(kMembers));
  expect_error(ErrorCode::kCorruptFile, "expected at most 5 bytes, got 6",
               [&] { zip.read_text(*zip.find("toy/data.pkl"), 5); });
}

}  // namespace
}  // namespace lille
