// Limits of the REST API per user of this machine: concurrent connections, requests per second, bytes of bodies.
//
// Model
//  1. The daemon's own user and root are `local operators`; every other user, and a connection whose user is not known,
//     is foreign. Connections without a known user share one quota.
//  2. Each user has at most `per_user` connections served at once; as many again are answered 503, further ones are
//     closed. The same holds for all users together and `connections`, and foreign users together never take the last
//     `per_user` of them: the operators always have connections left, however many foreign ones are answered 503.
//  3. Each user has a bucket of requests (`operators` or `foreign`); foreign users also share `all_foreign`. A request
//     costs one for itself and one for each kBytesPerCharge of its body, as large bodies cost the lane milliseconds to
//     parse. An empty bucket is answered 429.
//  4. Before a body is read its size is held, until its request has been answered or its connection has ended: at most
//     `bodies` bytes for a foreign user, at most `all_foreign_bodies` for all of them; more is answered 503. Operators
//     are bounded by their connections alone.
//
// Actors charge remote peers and not their own host (actor/rate_limiter.hpp), so local callers are charged here: each
// operator as a remote peer is, all foreign users together half of that.
//
// Threads: one lane. Cost: O(log users). Attacks: a user with a range of subordinate user ids counts as many users;
// the shares that foreign users have together bound them, and kMaxBuckets bounds the memory.
#pragma once

#include <map>
#include <optional>

#include "actor/rate_limiter.hpp"
#include "base/time.hpp"
#include "runtime/stream.hpp"

namespace dms::api {

struct RequestRate {
  double rate = 0;  ///< requests per second
  double burst = 0;
};

struct QuotaLimits {
  std::size_t connections = 256;
  std::size_t per_user = 64;
  RequestRate operators{actor::RateLimits().rate, actor::RateLimits().burst};
  RequestRate foreign{operators.rate / 10, operators.burst / 10};
  RequestRate all_foreign{operators.rate / 2, operators.burst / 2};
  std::uint64_t bodies = std::uint64_t{16} << 20;
  std::uint64_t all_foreign_bodies = std::uint64_t{64} << 20;
};

using User = std::optional<UserId>;  ///< nothing: not known

class UserQuota {
 public:
  enum class Admission { serve, busy, close };
  static constexpr std::size_t kMaxBuckets = 1024;
  static constexpr std::size_t kBytesPerCharge = std::size_t{64} << 10;
  static constexpr std::uint64_t kManyBytes = std::uint64_t{8} << 20;

  UserQuota(UserId own, QuotaLimits limits) : own_(own), limits_(limits) {}

  [[nodiscard]] bool is_operator(User user) const { return user && (*user == own_ || *user == 0); }
  /// A new connection. Unless it is to be closed it counts until disconnect().
  [[nodiscard]] Admission connect(User user);
  void disconnect(User user);
  /// A request with a body of `body` bytes. False if the user's bucket is empty.
  [[nodiscard]] bool charge(User user, SteadyTime now, std::size_t body = 0);

  /// False if there is no room for a body of as many bytes; else they count until let_go().
  [[nodiscard]] bool hold(User user, std::uint64_t bytes);
  /// True if nothing is held any more, after more than kManyBytes were.
  bool let_go(User user, std::uint64_t bytes);

  [[nodiscard]] std::size_t connections() const { return operators_ + foreign_; }

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime filled{};
  };
  static bool take(Bucket& bucket, const RequestRate& rate, double cost, SteadyTime now);
  void drop_full(SteadyTime now);

  UserId own_;
  QuotaLimits limits_;
  std::map<User, std::size_t> by_user_;
  std::size_t operators_ = 0;
  std::size_t foreign_ = 0;
  std::map<User, std::uint64_t> bodies_;  ///< of foreign users
  std::uint64_t foreign_bodies_ = 0;
  std::uint64_t all_bodies_ = 0;
  std::uint64_t most_bodies_ = 0;  ///< since nothing was held
  std::map<User, Bucket> buckets_;
  std::optional<Bucket> all_foreign_;
};

}  // namespace dms::api
