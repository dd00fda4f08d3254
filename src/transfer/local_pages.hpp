// Pages of files between the daemon and the command line of its machine, as raw bytes: beside the signed messages that
// permit them, which would carry them in base64, twice, and sign them.
//
// Model
//  1. A behaviour that has authorised a caller offers to write or to read pages, and replies with a ticket: 32 random
//     bytes in hex. The REST API hands the pages of whoever presents it to the function that was offered.
//  2. What is written or read, and where it goes on, is the function's to decide; it gives no more than kLocalPage.
//  3. A ticket ends when it is unused for kUnused, or as the longest unused one of more than kMaxOffers, or with the
//     daemon.
//
// Threads: one lane; what the functions refer to outlives the API. Failure: Errc::not_found for a ticket that is
// unknown or of the other kind; what the function reports. Cost: an entry for a ticket.
//
// Attacks: who does not have a ticket learns nothing, also not by the time of the lookup: tickets are found by their
// digest.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "crypto/hash.hpp"
#include "runtime/lane.hpp"
#include "runtime/task.hpp"

namespace dms::transfer {

inline constexpr std::size_t kLocalPage = std::size_t{1} << 20;

class LocalPages {
 public:
  static constexpr std::size_t kMaxOffers = 256;
  static constexpr Duration kUnused = std::chrono::minutes(10);
  /// Returns the offset of the next page.
  using Write = std::function<Task<Result<std::uint64_t>>(std::uint64_t offset, Bytes data)>;
  /// Nothing behind the end.
  using Read = std::function<Task<Result<Bytes>>(std::uint64_t offset)>;

  explicit LocalPages(Lane& lane) : lane_(lane) {}

  std::string offer_writing(Write write) { return add({std::move(write), {}, {}}); }
  std::string offer_reading(Read read) { return add({{}, std::move(read), {}}); }
  [[nodiscard]] bool knows(std::string_view ticket) { return find(ticket) != nullptr; }
  Task<Result<std::uint64_t>> write(std::string ticket, std::uint64_t offset, Bytes data);
  Task<Result<Bytes>> read(std::string ticket, std::uint64_t offset);
  [[nodiscard]] std::size_t size() const { return offers_.size(); }

 private:
  struct Offer {
    Write write;
    Read read;
    SteadyTime used;
  };
  std::string add(Offer offer);
  [[nodiscard]] Offer* find(std::string_view ticket);
  /// The same, and it is used now.
  Offer* use(std::string_view ticket);

  Lane& lane_;
  std::map<crypto::Digest256, Offer> offers_;  ///< by the digest of the ticket
};

}  // namespace dms::transfer
