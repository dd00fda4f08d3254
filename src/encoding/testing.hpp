// For tests of any module: vector files by their path under tests/vectors, and the comparison with vectors that NuNet's
// Go implementation made.
//
// tests/interop/go makes the latter (tests/interop/README.md). DMS_REFERENCE_VECTORS names a folder with fresh ones to
// use instead.
//
// The rule: the result equals the reference's, or the case is listed by name as a difference, with the reason. A listed
// name that is no difference (any more) fails as well, so the lists stay true.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/result.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms::test {

#ifdef DMS_SOURCE_DIR  // only test programs define it
inline const std::filesystem::path kVectors = DMS_SOURCE_DIR "/tests/vectors";
#else
inline const std::filesystem::path kVectors = "tests/vectors";
#endif

inline Bytes hex(std::string_view text) { return hex_decode(text).value(); }

inline std::string read_vectors(const std::string& name) {
  auto text = read_file(kVectors / name, std::size_t{4} << 20);
  EXPECT_TRUE(text) << text.error().to_string();
  return text.value_or("");
}

/// The rows after the first. A field has no comma; blanks before it and quotes around it are removed.
inline std::vector<std::vector<std::string>> read_csv(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  const std::string whole = read_vectors(name);
  std::string_view text = whole;
  const auto cut = [](std::string_view& from, char at) {
    const std::string_view part = from.substr(0, from.find(at));
    from.remove_prefix(std::min(part.size() + 1, from.size()));
    return part;
  };
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    std::vector<std::string> row;
    while (!line.empty()) {
      std::string_view field = cut(line, ',');
      while (field.starts_with(' ')) field.remove_prefix(1);
      if (field.size() > 1 && field.starts_with('"')) field = field.substr(1, field.size() - 2);
      row.emplace_back(field);
    }
    rows.push_back(std::move(row));
  }
  EXPECT_GT(rows.size(), 1U) << name;
  if (!rows.empty()) rows.erase(rows.begin());
  return rows;
}

// ---- the reference -------------------------------------------------------------------------------------------------

/// One input of the reference, and its result. Which members are used depends on the kind.
struct ReferenceCase {
  std::string name, kind, text;
  Bytes bytes;  // instead of text where it is not UTF-8
  std::string key, passphrase, context, origin, subject, capability, topic;
  std::string verdict, error;
  std::string canonical;  // how the reference writes what it has read, see rewritten()
  std::string did;

  static constexpr auto json_fields() {
    using C = ReferenceCase;
    return std::tuple(
        json::field("name", &C::name), json::field("kind", &C::kind), json::field("text", &C::text),
        json::field("bytes", &C::bytes), json::field("key", &C::key), json::field("passphrase", &C::passphrase),
        json::field("context", &C::context), json::field("origin", &C::origin), json::field("subject", &C::subject),
        json::field("capability", &C::capability), json::field("topic", &C::topic), json::field("verdict", &C::verdict),
        json::field("error", &C::error), json::field("canonical", &C::canonical), json::field("did", &C::did));
  }
  [[nodiscard]] BytesView input() const { return bytes.empty() ? as_bytes(text) : BytesView(bytes); }
  /// How the reference writes what it has read; none if it cannot read it.
  [[nodiscard]] std::optional<std::string> rewritten() const {
    if (!canonical.empty()) return canonical;
    return accepted() ? std::optional(text) : std::nullopt;
  }
  [[nodiscard]] bool accepted() const { return verdict == "accepted"; }
};

struct ReferenceParty {
  std::string name, private_key, public_key, did, peer;

  static constexpr auto json_fields() {
    using P = ReferenceParty;
    return std::tuple(json::field("name", &P::name), json::field("private", &P::private_key),
                      json::field("public", &P::public_key), json::field("did", &P::did),
                      json::field("peer", &P::peer));
  }
};

struct ReferenceFile {
  std::uint64_t now = 0;  // when the reference ran, nanoseconds since 1970
  std::vector<ReferenceParty> parties;
  std::vector<ReferenceCase> cases;

  static constexpr auto json_fields() {
    using F = ReferenceFile;
    return std::tuple(json::field("now", &F::now), json::field("parties", &F::parties),
                      json::field("cases", &F::cases));
  }
  static ReferenceFile load(const std::string& name) {
    const char* fresh = std::getenv("DMS_REFERENCE_VECTORS");
    auto text = read_file((fresh != nullptr ? std::filesystem::path(fresh) : kVectors) / name, 4 << 20);
    auto file = text ? json::decode<ReferenceFile>(*text) : std::unexpected(text.error());
    EXPECT_TRUE(file) << name << ": " << (file ? "" : file.error().to_string());
    EXPECT_TRUE(!file || !file->cases.empty()) << name;
    return file ? *std::move(file) : ReferenceFile();
  }
};

/// Names of cases, and the reason of each intended difference.
using Differences = std::map<std::string, const char*, std::less<>>;

/// Compares the results here with the reference's.
class Comparison {
 public:
  /// `stricter`: accepted there, refused here. `milder`: the other way round.
  explicit Comparison(Differences stricter, Differences milder = {})
      : stricter_(std::move(stricter)), milder_(std::move(milder)) {}
  ~Comparison() {
    for (const Differences* list : {&stricter_, &milder_})
      for (const auto& [name, why] : *list)
        EXPECT_TRUE(seen_.contains(name)) << "a difference is listed for a case that is not there: " << name;
  }
  Comparison(const Comparison&) = delete;
  Comparison& operator=(const Comparison&) = delete;

  template <class T>
  void check(const ReferenceCase& c, const Result<T>& here) {
    seen_.insert(c.name);
    const bool stricter = c.accepted() && !here;
    const bool milder = !c.accepted() && here.has_value();
    EXPECT_EQ(stricter, stricter_.contains(c.name))
        << c.name << ": the reference has " << c.verdict << " it " << c.error
        << "; here: " << (here ? "accepted" : here.error().to_string());
    EXPECT_EQ(milder, milder_.contains(c.name)) << c.name << ": the reference has " << c.verdict << " it " << c.error
                                                << "; here: " << (here ? "accepted" : here.error().to_string());
  }

 private:
  Differences stricter_, milder_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace dms::test
