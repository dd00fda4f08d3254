// The encrypted stream after a Noise handshake (noise.hpp, model 3).
#pragma once

#include "base/stream.hpp"
#include "libp2p/security/noise/handshake.hpp"
#include "libp2p/transport/elastic_buffer.hpp"

namespace dms::libp2p::noise {

class NoiseStream final : public ByteStream {
 public:
  static constexpr std::size_t kTag = crypto::ChaCha20Poly1305::kTagSize;
  static constexpr std::size_t kHeader = 2;
  static constexpr std::size_t kMaxPlain = kMaxMessage - kTag;
  static constexpr std::size_t kMessagesPerWrite = 4;
  static constexpr std::size_t kIdleBuffer = 1024;
  static constexpr std::size_t kBusyBuffer = kMessagesPerWrite * (kHeader + kMaxMessage);

  NoiseStream(std::unique_ptr<ByteStream> raw, Handshake::Ciphers ciphers)
      : raw_(std::move(raw)), ciphers_(std::move(ciphers)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override { return raw_->close_write(); }
  void abort() override { raw_->abort(); }

 private:
  std::size_t take_plain(MutableBytes into);
  /// The size of the next message, if all of it has arrived.
  [[nodiscard]] Result<std::optional<std::size_t>> next_message() const;
  /// Opens what has arrived, straight into `into` as long as whole messages fit; says how much it gave.
  Result<std::size_t> open_arrived(MutableBytes into);
  Result<std::size_t> break_off(Error why, std::size_t given);
  void make_room();
  Result<std::size_t> seal_into_out(BytesView text, std::size_t at);

  std::unique_ptr<ByteStream> raw_;
  Handshake::Ciphers ciphers_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  ElasticBuffer in_{kIdleBuffer, kBusyBuffer};  ///< [begin_, end_) has arrived and is not decrypted
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  MutableBytes plain_;  ///< a part of in_ before begin_: decrypted, not yet read
  std::size_t last_read_ = 0;
  ElasticBuffer out_{kIdleBuffer, kBusyBuffer};
  std::optional<Error> broken_;  ///< why nothing more can be read
};

}  // namespace dms::libp2p::noise
