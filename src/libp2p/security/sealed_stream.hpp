// A stream whose text travels in sealed records: what remains of a security protocol once its handshake is over.
//
// Model
//  1. The wire carries one record after another, each a header, the sealed text and its tag. What a record looks like and
//     which key opens it is the protocol's (NoiseStream, TlsStream); how records are gathered and handed on is here.
//  2. write() seals from the caller's memory into one buffer, several records per write below. read_some() opens straight
//     into the caller's memory where a whole record fits, else where it arrived.
//  3. A record may carry no text: an answer for the protocol itself, or nothing. More than kMaxEmpty of them in a row end
//     the stream (Errc::limit_exceeded): they cost us and say nothing.
//  4. The first record that does not open, or that the protocol refuses, ends the stream for good. What was authentic
//     before it is still read.
//
// Cancellation, and one read beside one write: as ByteStream has it.
//
// Memory: a stream that carries little holds two buffers of kIdleBuffer; each grows to kBusyBuffer with what it carries,
// and falls back after two small reads or writes.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/stream.hpp"
#include "crypto/aead.hpp"
#include "libp2p/transports/elastic_buffer.hpp"

namespace dms::libp2p {

class SealedStream : public ByteStream {
 public:
  static constexpr std::size_t kIdleBuffer = 1024;
  /// Two of Noise's records, eight of TLS's. Larger ones leave the processor's inner caches: slower, not faster.
  static constexpr std::size_t kBusyBuffer = 2 * (64 * 1024 + 1);
  static constexpr int kMaxEmpty = 32;

  Task<Result<std::size_t>> read_some(MutableBytes into) final;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override { return raw_->close_write(); }
  void abort() final { raw_->abort(); }

 protected:
  /// What the protocol's records look like, in bytes.
  struct Shape {
    std::string_view protocol;  ///< for errors
    std::size_t header;
    std::size_t overhead;      ///< of a record that we send beyond its text, header included
    std::size_t max_text;      ///< of a record that we send
    std::string_view goodbye;  ///< what a peer says before it ends the wire; empty if ending it is enough
  };
  /// `arrived` is what has come after the handshake, at most kBusyBuffer bytes.
  SealedStream(std::unique_ptr<ByteStream> raw, const Shape& shape, BytesView arrived = {});

  [[nodiscard]] ByteStream& raw() { return *raw_; }
  /// How much text is sealed and written at once.
  [[nodiscard]] std::size_t batch() const {
    return kBusyBuffer / (shape_.max_text + shape_.overhead) * shape_.max_text;
  }
  /// For open(): the peer sends no more text.
  void end_text() { text_ended_ = true; }

 private:
  /// All of the record whose header this is: at least header and tag, at most kBusyBuffer bytes.
  [[nodiscard]] virtual Result<std::size_t> record_size(BytesView header) const = 0;
  /// Opens `sealed`, a record without its header, into `into`, which is `sealed` or has at least as many bytes without the
  /// tag. Returns the text, a part of `into`.
  virtual Result<MutableBytes> open(BytesView header, MutableBytes sealed, MutableBytes into) = 0;
  /// Fills `record`, which has exactly the bytes that it takes.
  virtual Result<void> seal(BytesView text, MutableBytes record) = 0;

  std::size_t take_plain(MutableBytes into);
  /// The size of the next record, if all of it has arrived.
  [[nodiscard]] Result<std::optional<std::size_t>> next_record() const;
  /// Opens what has arrived, straight into `into` as long as whole records fit; says how much it gave.
  Result<std::size_t> open_arrived(MutableBytes into);
  Result<MutableBytes> open_next(std::size_t size, MutableBytes into);
  Result<std::size_t> break_off(Error why, std::size_t given);
  Result<std::size_t> on_wire_end();
  void make_room();
  /// Seals `text` into out_; says how many bytes that took.
  Result<std::size_t> seal_all(BytesView text);

  std::unique_ptr<ByteStream> raw_;
  Shape shape_;
  ElasticBuffer in_{kIdleBuffer, kBusyBuffer};  ///< [begin_, end_) has arrived and is not opened
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  MutableBytes plain_;  ///< a part of in_ before begin_: opened, not yet read
  std::size_t last_read_ = 0;
  int empty_in_a_row_ = 0;
  bool text_ended_ = false;
  ElasticBuffer out_{kIdleBuffer, kBusyBuffer};
  std::optional<Error> broken_;  ///< why nothing more can be read
};

}  // namespace dms::libp2p
