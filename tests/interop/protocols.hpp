// The protocols that every peer of tests/interop serves (README.md), and the bytes they carry.
#pragma once

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cstdio>
#include <limits>
#include <memory>

#include "libp2p/host.hpp"

namespace dms::libp2p::interop {

inline constexpr std::string_view kEcho = "/interop/echo/0.0.1";
inline constexpr std::string_view kBareEcho = "interop/echo/0.0.1";  // without a slash, as NuNet names its protocols
inline constexpr std::string_view kSum = "/interop/sum/0.0.1";
inline constexpr std::string_view kLate = "/interop/late/0.0.1";
inline constexpr std::string_view kReset = "/interop/reset/0.0.1";
inline constexpr std::string_view kUnknown = "/interop/unknown/0.0.1";

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  std::fflush(stdout);
}

/// Incremental SHA-256.
class Sum {
 public:
  using Digest = std::array<std::uint8_t, 32>;
  Sum();
  void add(BytesView bytes);
  /// Ends it.
  [[nodiscard]] Digest digest();

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

/// Writes `size` bytes in blocks of 64 KiB, the first eight bytes of each its number; `sum` may be null.
Task<Result<void>> send_numbered(ByteStream& stream, std::uint64_t size, Sum* sum);
inline constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
/// Reads `limit` bytes, or to the end if that is sooner. Returns their number.
Task<Result<std::uint64_t>> receive(ByteStream& stream, std::uint64_t limit, Sum* sum);
/// Reads a checksum and compares.
Task<Result<void>> expect_sum(ByteStream& stream, Sum& sum);

[[nodiscard]] std::array<std::uint8_t, 8> big_endian(std::uint64_t value);

/// Registers their handlers on `host`; perf is served by a PerfServer.
void serve(Host& host);

}  // namespace dms::libp2p::interop
