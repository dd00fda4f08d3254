// The files of a transfer: what is read to be sent, and what has been received so far.
//
// Model
//  1. A PartFile is `<destination>.part`. append() adds to it and to its digest. open() takes up what an earlier
//     transfer left, and reads it once for the digest. finish() makes it durable and renames it to the destination.
//  2. No call follows a symbolic link in the last part of a path; folders above it belong to the caller. A part is a
//     regular file without other names, and locked while it is open: two transfers to one destination exclude each
//     other.
//
// Threads: any, one at a time; every call blocks on the disk, so a lane offloads it. Failure: Errc::io names the file;
// a full disk says so. The part stays, except after discard().
#pragma once

#include <filesystem>
#include <stop_token>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"
#include "runtime/process.hpp"

namespace dms::transfer {

/// The size and SHA-256 of a file's bytes.
struct Content {
  std::uint64_t size = 0;
  crypto::Digest256 digest{};
  friend bool operator==(const Content&, const Content&) = default;
};

/// Reads all of a regular file. Errc::not_found, Errc::io; Errc::cancelled when it is asked to stop.
Result<Content> content_of(const std::filesystem::path& path, const std::stop_token& stop = {});

class SourceFile {
 public:
  /// Errc::io if it is no regular file or has not `size` bytes.
  static Result<SourceFile> open(const std::filesystem::path& path, std::uint64_t size);
  /// Fills `into`; Errc::io if the file ends before.
  Result<void> read(std::uint64_t offset, MutableBytes into) const;

 private:
  SourceFile(Fd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::filesystem::path path_;
};

class PartFile {
 public:
  /// Errc::already_exists if another transfer to `destination` is under way.
  static Result<PartFile> open(std::filesystem::path destination);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Of what has been received.
  [[nodiscard]] crypto::Digest256 digest() const { return hash_.digest(); }
  /// Takes the disk space of the whole file, where the file system can do that.
  Result<void> reserve(std::uint64_t size);
  Result<void> append(BytesView bytes);
  /// From the first byte again.
  Result<void> restart();
  Result<void> finish();
  void discard();

 private:
  PartFile(Fd fd, std::filesystem::path destination) : fd_(std::move(fd)), destination_(std::move(destination)) {}
  [[nodiscard]] std::filesystem::path path() const;
  [[nodiscard]] Error failure(std::string_view doing) const;
  Result<void> take_up();

  Fd fd_;
  std::filesystem::path destination_;
  std::uint64_t size_ = 0;
  crypto::Sha256 hash_;
};

/// Makes the entries of a folder durable.
Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace dms::transfer
