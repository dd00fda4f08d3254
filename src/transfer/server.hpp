// Serves files to the peers that hold a ticket for them, under the protocol /nunet/transfer/1.0.0 (wire.hpp).
//
// Model
//  1. offer() makes a ticket for one file and one peer. It ends after its lifetime, when it is revoked, or with the
//     server: it is not stored. A peer that holds a ticket may fetch the file repeatedly and from any offset. A file
//     that is offered to the same peer for the same purpose again keeps its ticket, whose lifetime begins anew.
//  2. The file is read while it is sent. It must not change while it is offered: what changed has another digest, and
//     the receiver refuses it.
//  3. A ticket that ends stops the transfers that use it.
//
// Threads and cancellation: one lane; files are read by workers, one block ahead of the network. close() ends all
// transfers, before the network is closed. Cost: up to three blocks of Options::block for a transfer, an entry for a
// ticket.
//
// Bounds: Options::max_streams transfers, max_streams_per_peer for a peer (more are answered with busy), max_tickets,
// and max_tickets_per_peer for a peer (Errc::limit_exceeded above); max_waiting streams without an answer,
// max_waiting_per_peer for a peer: one more resets the oldest. A request must arrive within Options::request, and each
// kSlice of the file leave within Options::stall.
//
// Attacks: a stranger without a ticket gets the same answer for every reason and learns nothing; a ticket that another
// peer has overheard is of no use to it, because the handshake proves the peer; tickets are found by their digest, so
// the time of a lookup says nothing about them. Streams without a valid ticket hold no place for a transfer; a request
// arrives with its stream, so streams that wait longer make room. A peer that has a ticket and does not read holds its
// own places only, for Options::stall.
#pragma once

#include <filesystem>
#include <list>
#include <map>
#include <memory>

#include "base/buffer_pool.hpp"
#include "base/metrics.hpp"
#include "network/network.hpp"
#include "runtime/nursery.hpp"
#include "transfer/files.hpp"
#include "transfer/local_pages.hpp"
#include "transfer/wire.hpp"

namespace dms::transfer {

inline constexpr std::size_t kSlice = 256 * 1024;

struct ServerOptions {
  std::size_t max_streams = 32;
  std::size_t max_streams_per_peer = 4;
  std::size_t max_waiting = 64;
  std::size_t max_waiting_per_peer = 8;
  std::size_t max_tickets = 65536;
  std::size_t max_tickets_per_peer = 4096;
  std::size_t block = kMaxChunk;  ///< read and sent at once; at most kMaxChunk
  Duration request = 5s;
  Duration stall = 60s;
  ServerOptions() = default;
};

class Server {
 public:
  struct Metrics {
    metrics::Counter served;   ///< transfers that were sent to their end
    metrics::Counter refused;  ///< requests without a valid ticket, or above the bounds
    metrics::Counter bytes;    ///< of files that were sent
  };

  Server(Lane& lane, network::Network& network, ServerOptions options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Serves from now on. Errc::already_exists if the network has a handler for the protocol.
  Result<void> open();
  /// A ticket for `to` to fetch `file`, whose content is `content`: the one that it has, or a new one. `purpose`: for
  /// revoke_purpose().
  Result<Ticket> offer(crypto::PeerId to, std::filesystem::path file, Content content, Duration lifetime,
                       std::string purpose = {});
  /// Unknown tickets are fine.
  void revoke(const Ticket& ticket);
  /// Revokes the tickets of all files in `folder`, itself or below.
  void revoke_below(const std::filesystem::path& folder);
  /// Revokes the tickets that were offered for it.
  void revoke_purpose(std::string_view purpose);
  [[nodiscard]] std::size_t tickets() const { return offers_.size(); }
  /// Of the files that the command line of this machine sends and fetches.
  [[nodiscard]] LocalPages& local() { return local_; }
  [[nodiscard]] const Metrics& metrics() const { return metrics_; }
  void register_metrics(metrics::Registry& registry);
  Task<void> close();

 private:
  struct Offer {
    crypto::PeerId to;
    std::filesystem::path file;
    std::string purpose;
    Content content;
    SteadyTime ends;
    Ticket ticket;
  };
  using OfferPtr = std::shared_ptr<const Offer>;
  using Subject = std::pair<std::filesystem::path, std::string>;  ///< file, purpose
  using Offers = std::map<crypto::Digest256, std::shared_ptr<Offer>>;
  class Place;
  class Waiting;

  Task<void> serve(crypto::PeerId from, std::unique_ptr<ByteStream> stream, std::unique_ptr<Waiting> waiting);
  Task<Result<void>> transfer(const crypto::PeerId& from, ByteStream& stream, std::unique_ptr<Waiting> waiting);
  Task<Result<void>> send(ByteStream& stream, OfferPtr offer, std::uint64_t offset);
  [[nodiscard]] bool has_room_for(const crypto::PeerId& peer) const;
  [[nodiscard]] OfferPtr find(const Ticket& ticket, const crypto::PeerId& from) const;
  [[nodiscard]] bool valid(const OfferPtr& offer) const { return offer->ends > lane_.now(); }
  [[nodiscard]] Offers::iterator offered(const crypto::PeerId& to, const Subject& subject);
  [[nodiscard]] bool full_for(const crypto::PeerId& peer) const;
  /// The offer after it.
  Offers::iterator drop(Offers::iterator offer);
  template <class Wanted>
  void drop_if(Wanted wanted);

  Lane& lane_;
  network::Network& network_;
  ServerOptions options_;
  LocalPages local_;
  BufferPool buffers_;
  Offers offers_;  ///< by the digest of the ticket
  /// The keys of offers_.
  std::map<crypto::PeerId, std::map<Subject, crypto::Digest256>> subjects_of_;
  std::list<Waiting*> waiting_;  ///< the oldest first
  std::size_t streams_ = 0;
  std::map<crypto::PeerId, std::size_t> streams_of_;
  bool open_ = false;
  Metrics metrics_;
  Nursery nursery_;
  metrics::Group metrics_group_;
};

}  // namespace dms::transfer
