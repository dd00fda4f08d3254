// The encrypted stream after a Noise handshake (noise.hpp, model 3).
//
// Model
//  1. The wire carries messages: a length of two bytes, big endian, and a sealed text with its tag.
//  2. write() seals from the caller's memory into one buffer, several messages per write of the raw stream. read_some()
//     opens straight into the caller's memory where a whole message fits, otherwise where it arrived.
//  3. More than kMaxEmpty messages in a row without text end the stream (Errc::limit_exceeded): they cost the receiver
//     work and carry nothing.
//  4. The first message that does not open ends the stream for good. Text that was authentic before it is still read.
//
// Cancellation, and one read beside one write: as ByteStream specifies.
//
// Memory: a stream that carries little holds two buffers of kIdleBuffer; each grows to kBusyBuffer with the traffic,
// and shrinks after two small reads or writes.
#pragma once

#include <optional>

#include "libp2p/security/noise/handshake.hpp"
#include "libp2p/transports/elastic_buffer.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p::noise {

class NoiseStream final : public ByteStream {
 public:
  static constexpr std::size_t kHeader = 2;
  static constexpr std::size_t kOverhead = kHeader + CipherState::kTag;
  static constexpr std::size_t kMaxPlain = kMaxMessage - CipherState::kTag;
  static constexpr std::size_t kIdleBuffer = 1024;
  /// Two messages. Larger buffers leave the processor's inner caches and are slower.
  static constexpr std::size_t kBusyBuffer = 2 * (64 * 1024 + 1);
  static constexpr int kMaxEmpty = 32;

  NoiseStream(std::unique_ptr<ByteStream> raw, Handshake::Ciphers ciphers)
      : raw_(std::move(raw)), ciphers_(std::move(ciphers)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override { return raw_->close_write(); }
  void abort() override { raw_->abort(); }

 private:
  std::size_t take_plain(MutableBytes into);
  /// The size of the next message with its header, if all of it has arrived.
  [[nodiscard]] Result<std::optional<std::size_t>> next_message() const;
  /// Opens what has arrived, straight into `into` as long as whole messages fit. Returns how many bytes it has filled.
  Result<std::size_t> open_arrived(MutableBytes into);
  Result<MutableBytes> open_next(std::size_t size, MutableBytes into);
  Result<std::size_t> fail_for_good(Error why, std::size_t given);
  void make_space();
  /// Seals `text` into out_. Returns how many bytes that took.
  Result<std::size_t> seal_all(BytesView text);

  std::unique_ptr<ByteStream> raw_;
  Handshake::Ciphers ciphers_;
  ElasticBuffer in_{kIdleBuffer, kBusyBuffer};  ///< [begin_, end_) has arrived and is not opened
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  MutableBytes plain_;  ///< a part of in_ before begin_: opened, not yet read
  std::size_t last_read_ = 0;
  int empty_in_a_row_ = 0;
  ElasticBuffer out_{kIdleBuffer, kBusyBuffer};
  std::optional<Error> failure_;
};

}  // namespace dms::libp2p::noise
