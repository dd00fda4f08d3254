// A connected byte stream, and the network interface that makes them: real sockets or a simulated network.
//
// Model
//  1. A stream belongs to one lane. At most one read and one write may be under way at the same time.
//  2. Every operation can be cancelled (task.hpp); a cancelled read or write leaves the stream usable only for abort().
//  3. Memory handed to read_some() or write() stays valid until that call returns, also when it is cancelled.
//  4. Destroying a stream aborts it. No operation may be under way then.
//  5. A read of bytes that have arrived need not wait. A real socket lets the lane's other work have its turn after 16
//     of them or 1 MiB, so a peer that always has more to send does not hold the lane.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "runtime/task.hpp"

namespace dms {

/// A user of this machine, as the kernel numbers them; 0 is root.
using UserId = std::uint32_t;

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// At least one byte, at most `into.size()`; 0 means that the other side has closed its writing half.
  virtual Task<Result<std::size_t>> read_some(MutableBytes into) = 0;
  /// All of `from`. Waits when the network is slower than the writer.
  virtual Task<Result<void>> write(BytesView from) = 0;
  /// No more writes; the other side reads an end. Reading goes on.
  virtual Task<Result<void>> close_write() = 0;
  /// Ends both halves at once; operations under way fail with Errc::closed.
  virtual void abort() = 0;
  /// The user of the process at the other end, as the kernel tells it: of a Unix socket, and of a TCP connection inside
  /// this machine while that process has its end: from accept() until it closes. Asks the kernel each time (some
  /// microseconds).
  [[nodiscard]] virtual std::optional<UserId> peer_user() { return std::nullopt; }
};

/// Fills all of `into`. Errc::closed if the stream ends first.
Task<Result<void>> read_exactly(ByteStream& stream, MutableBytes into);
/// Reads to the end; Errc::limit_exceeded if there is more than `limit`.
Task<Result<Bytes>> read_to_end(ByteStream& stream, std::size_t limit);

class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  static constexpr IpAddress v4(std::array<std::uint8_t, 4> b) {
    IpAddress a;
    std::copy(b.begin(), b.end(), a.bytes_.begin());
    return a;
  }
  static constexpr IpAddress v6(std::array<std::uint8_t, 16> b) {
    IpAddress a;
    a.v6_ = true;
    a.bytes_ = b;
    return a;
  }
  static Result<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v6() const { return v6_; }
  [[nodiscard]] BytesView bytes() const { return BytesView(bytes_).first(v6_ ? 16 : 4); }
  [[nodiscard]] bool is_loopback() const {
    return v6_ ? *this == v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) : bytes_[0] == 127;
  }
  /// Loopback, link-local and private networks (RFC 1918, RFC 4193): nothing that is routed on the Internet.
  [[nodiscard]] bool is_private() const;
  [[nodiscard]] bool is_link_local() const {
    return v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80 : bytes_[0] == 169 && bytes_[1] == 254;
  }
  [[nodiscard]] bool is_unspecified() const { return bytes_ == std::array<std::uint8_t, 16>{}; }
  [[nodiscard]] std::string to_string() const;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  bool v6_ = false;
  std::array<std::uint8_t, 16> bytes_{};
};

/// At most 15 characters, in place: a string here would break where GCC 12 copies braced endpoints bit by bit
/// (task.hpp).
class ZoneName {
 public:
  constexpr ZoneName() = default;
  /// Nothing if the name is too long for any interface.
  static std::optional<ZoneName> from(std::string_view name) {
    ZoneName zone;
    if (name.size() >= zone.text_.size()) return std::nullopt;
    std::copy(name.begin(), name.end(), zone.text_.begin());
    return zone;
  }
  [[nodiscard]] std::string_view text() const { return text_.data(); }
  [[nodiscard]] bool empty() const { return text_[0] == 0; }
  friend auto operator<=>(const ZoneName&, const ZoneName&) = default;

 private:
  std::array<char, 16> text_{};
};

struct IpEndpoint {
  IpAddress address;
  std::uint16_t port = 0;
  /// Of a link-local IPv6 address: the interface it belongs to; of the length of the system's interface names.
  ZoneName zone;
  [[nodiscard]] std::string to_string() const;  // "127.0.0.1:9000", "[::1]:9000", "[fe80::1%eth0]:9000"
  friend auto operator<=>(const IpEndpoint&, const IpEndpoint&) = default;
};

struct Accepted {
  std::unique_ptr<ByteStream> stream;
  IpEndpoint local;
  IpEndpoint remote;  // unspecified for a Unix socket
};

class Listener {
 public:
  virtual ~Listener() = default;
  /// Errc::closed once close() was called.
  virtual Task<Result<Accepted>> accept() = 0;
  [[nodiscard]] virtual IpEndpoint local() const = 0;
  /// Lets connect_tcp_from() use the port too, where the system supports it. From then on other programs of the same
  /// user can bind it as well.
  virtual void share_port() {}
  virtual void close() = 0;
};

/// Which addresses of a name to return.
enum class IpFamily { any, v4, v6 };

inline constexpr std::size_t kMaxHostName = 253;
inline constexpr std::size_t kMaxHostAddresses = 64;  ///< of one name; more are not returned

/// The network interface of one node.
class Net {
 public:
  virtual ~Net() = default;
  /// Port 0 takes a free one. Errc::already_exists if the port is taken, Errc::not_found if the address is not this
  /// machine's.
  virtual Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint& at) = 0;
  virtual Task<Result<Accepted>> connect_tcp(IpEndpoint to) = 0;
  /// The same from `local`, the address of a listener that shares its port: the listener on the other side then sees an
  /// address that accepts connections. Where that is not possible, from any port; the local end of the result tells.
  virtual Task<Result<Accepted>> connect_tcp_from(IpEndpoint local, IpEndpoint to);
  /// A Unix socket at `path`, of that mode before anything can connect; close() removes it. Errc::already_exists if
  /// something is at `path`, Errc::invalid_argument if it is too long for a socket (107 bytes).
  virtual Result<std::unique_ptr<Listener>> listen_unix(const std::string& path, unsigned mode);
  /// For this user alone.
  Result<std::unique_ptr<Listener>> listen_unix(const std::string& path) { return listen_unix(path, 0600); }
  /// Errc::not_found if nothing listens there, Errc::permission_denied if this user may not connect.
  virtual Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) = 0;
  /// The addresses of a host, at most kMaxHostAddresses. Errc::not_found if there are none, Errc::io if no name server
  /// answers. The caller sets the deadline.
  virtual Task<Result<std::vector<IpAddress>>> resolve_host(std::string name, IpFamily family);
  /// The texts (TXT records) of a name, at most kMaxTextRecords (dns_message.hpp); failures as resolve_host().
  virtual Task<Result<std::vector<std::string>>> resolve_text(std::string name);
  /// The addresses of this machine's interfaces that are up.
  virtual Result<std::vector<IpAddress>> interface_addresses() = 0;
};

/// The environment of a node. Both outlive the node and belong to its lane.
struct Runtime {
  Lane& lane;
  Net& net;
};

}  // namespace dms
