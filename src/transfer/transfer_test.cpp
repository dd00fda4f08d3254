// Transfers between two nodes in virtual time, over streams in memory that the tests interrupt, hold and change.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "network/memory_network.hpp"
#include "simulation/sim_world.hpp"
#include "transfer/fetch.hpp"
#include "transfer/server.hpp"
#include "transfer/testing.hpp"

namespace dms::transfer {
namespace {

using testing::TestFolder;

struct Party {
  Party(SimWorld& world, std::shared_ptr<network::MemorySubstrate> substrate, std::string name)
      : node(world.add_node(std::move(name))),
        network(std::move(substrate), node.runtime().lane,
                crypto::PeerId::from(crypto::PrivateKey::generate(node.runtime().lane.random()).public_key())) {}
  [[nodiscard]] Lane& lane() { return node.runtime().lane; }
  SimNode& node;
  network::MemoryNetwork network;
};

constexpr std::size_t kBlock = 64 * 1024;

struct TransferTest : ::testing::Test {
  TransferTest() {
    EXPECT_TRUE(server->open());
    put(testing::random_text(5 * kBlock + 100));
  }
  ~TransferTest() override { close_server(); }

  void close_server() {
    if (server) world.run(sender.node, server->close());
  }
  static ServerOptions server_options() {
    ServerOptions options;
    options.block = kBlock;
    options.stall = 30s;
    options.max_tickets = 5;
    options.max_tickets_per_peer = 3;
    return options;
  }
  void put(std::string text) {
    content = std::move(text);
    ASSERT_TRUE(write_file(dir / "source", content));
  }
  Result<Ticket> try_offer(Party& to, Duration lifetime = 1h, const std::string& file = "source",
                           std::string purpose = {}) {
    const Result<Content> found = content_of(dir / file);
    return server->offer(to.network.self(), dir / file, found.value(), lifetime, std::move(purpose));
  }
  Ticket offer(Party& to, Duration lifetime = 1h, const std::string& file = "source") {
    return try_offer(to, lifetime, file).value();
  }
  Result<Content> fetch_by(Party& party, const Ticket& ticket, FetchOptions options = {}) {
    return world.run(party.node, fetch(party.network, sender.network.self(), ticket, dir / "got", std::move(options)));
  }
  Result<Content> fetch_it(FetchOptions options = {}) {
    return fetch_by(receiver, offer(receiver), std::move(options));
  }
  static FetchOptions no_retries() {
    FetchOptions options;
    options.retries = 0;
    return options;
  }
  /// The stream is reset when the sender has written this many bytes of it.
  void interrupt_at(std::uint64_t bytes) {
    auto left = std::make_shared<std::uint64_t>(bytes);
    substrate->set_stream_tap([this, left](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes data) {
      if (from != sender.network.self()) return true;
      if (data.size() > *left) return false;
      *left -= data.size();
      return true;
    });
  }
  bool part_exists() const { return std::filesystem::exists(dir / "got.part"); }

  SimWorld world{5};
  std::shared_ptr<network::MemorySubstrate> substrate = std::make_shared<network::MemorySubstrate>();
  Party sender{world, substrate, "sender"};
  Party receiver{world, substrate, "receiver"};
  Party stranger{world, substrate, "stranger"};
  TestFolder dir;
  std::string content;
  std::unique_ptr<Server> server = std::make_unique<Server>(sender.lane(), sender.network, server_options());
};

TEST_F(TransferTest, AFileArrivesWhole) {
  std::vector<std::uint64_t> progress;
  FetchOptions options;
  options.on_progress = [&](std::uint64_t received, std::uint64_t size) {
    EXPECT_EQ(size, content.size());
    progress.push_back(received);
  };
  const Result<Content> got = fetch_it(options);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(got->size, content.size());
  EXPECT_EQ(got->digest, crypto::sha256(as_bytes(content)));
  EXPECT_EQ(testing::read(dir / "got"), content);
  EXPECT_FALSE(part_exists());
  ASSERT_EQ(progress.size(), 6u);
  EXPECT_EQ(progress.front(), kBlock);
  EXPECT_EQ(progress.back(), content.size());
  EXPECT_EQ(server->metrics().served.value(), 1u);
  EXPECT_EQ(server->metrics().bytes.value(), content.size());
}

TEST_F(TransferTest, AnEmptyFileAndOneOfWholeChunks) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kBlock, 2 * kBlock}) {
    put(testing::random_text(size));
    const Result<Content> got = fetch_it();
    ASSERT_TRUE(got) << size << ": " << got.error().to_string();
    EXPECT_EQ(testing::read(dir / "got"), content) << size;
  }
}

TEST_F(TransferTest, AnInterruptionAtEveryChunkIsResumed) {
  const std::uint64_t whole = kAnswerSize + content.size() + 7 * kChunkHeader;
  for (std::uint64_t at = 0; at <= whole + kBlock; at += kBlock / 2) {
    std::filesystem::remove(dir / "got");
    interrupt_at(at);
    const Result<Content> first = fetch_by(receiver, offer(receiver), no_retries());
    if (at >= whole) {
      EXPECT_TRUE(first) << at;
      continue;
    }
    ASSERT_FALSE(first) << at;
    EXPECT_FALSE(std::filesystem::exists(dir / "got")) << at;
    const std::uint64_t here = part_exists() ? std::filesystem::file_size(dir / "got.part") : 0;
    EXPECT_EQ(here % kBlock, 0u) << at;  // whole chunks only
    substrate->set_stream_tap({});
    const std::uint64_t before = server->metrics().bytes.value();
    const Result<Content> second = fetch_it();
    ASSERT_TRUE(second) << at << ": " << second.error().to_string();
    EXPECT_EQ(testing::read(dir / "got"), content) << at;
    EXPECT_EQ(server->metrics().bytes.value() - before, content.size() - here) << at;
  }
}

TEST_F(TransferTest, OneFetchOutlastsManyInterruptions) {
  // Each stream brings a window, more streams than retries: an attempt that brings something does not count.
  put(testing::random_text(6 * network::MemoryLink::kWindow));
  SteadyTime request;
  int streams = 0;
  substrate->set_stream_tap([&](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes) {
    if (from == sender.network.self()) return world.now() < request + 2500us;
    request = world.now();
    ++streams;
    return true;
  });
  FetchOptions retries;
  retries.retries = 1;
  const Result<Content> got = fetch_it(retries);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(testing::read(dir / "got"), content);
  EXPECT_GT(streams, 3);
}

TEST_F(TransferTest, RetriesAreLimitedAndTheirPausesGrow) {
  interrupt_at(0);
  FetchOptions options;
  options.retries = 4;
  const SteadyTime begin = world.now();
  const Result<Content> got = fetch_it(options);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().is(Errc::closed)) << got.error().to_string();
  EXPECT_GE(world.now() - begin, 1s + 2s + 4s + 8s);
  EXPECT_LT(world.now() - begin, 20s);
  EXPECT_FALSE(part_exists());
}

TEST_F(TransferTest, ASenderThatIsAwayIsTriedAgain) {
  const Ticket ticket = offer(receiver);
  substrate->cut(sender.network.self(), receiver.network.self());
  receiver.lane().call_at(receiver.lane().now() + 5s,
                          [&] { substrate->cut(sender.network.self(), receiver.network.self(), false); });
  const Result<Content> got = fetch_by(receiver, ticket);
  ASSERT_TRUE(got) << got.error().to_string();
}

TEST_F(TransferTest, AStrangerLearnsNothing) {
  for (const std::string name : {"other", "third"}) ASSERT_TRUE(write_file(dir / name, name));
  const Ticket valid = offer(receiver);
  const Ticket ended = offer(receiver, 10s, "other");
  const Ticket revoked = offer(receiver, 1h, "third");
  server->revoke(revoked);
  world.run_for(20s);
  std::vector<std::string> refusals;
  for (const auto& [party, ticket] :
       {std::pair(&stranger, valid), std::pair(&stranger, Ticket()), std::pair(&receiver, Ticket()),
        std::pair(&receiver, ended), std::pair(&receiver, revoked)}) {
    const Result<Content> got = fetch_by(*party, ticket);
    ASSERT_FALSE(got);
    EXPECT_TRUE(got.error().is(Errc::permission_denied));
    refusals.push_back(got.error().to_string());
  }
  EXPECT_EQ(std::set(refusals.begin(), refusals.end()).size(), 1u);
  EXPECT_EQ(server->metrics().refused.value(), 5u);
  EXPECT_TRUE(fetch_by(receiver, valid));
}

TEST_F(TransferTest, AFileThatIsOfferedAgainKeepsItsTicket) {
  const Ticket first = offer(receiver, 10s);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(offer(receiver, 1h).secret, first.secret);
  EXPECT_NE(offer(stranger).secret, first.secret);
  EXPECT_EQ(server->tickets(), 2u);
  world.run_for(20s);
  EXPECT_TRUE(fetch_by(receiver, first)) << "its lifetime began anew";
  put("changed");
  EXPECT_NE(offer(receiver).secret, first.secret);
  EXPECT_FALSE(fetch_by(receiver, first, no_retries()));
  EXPECT_EQ(server->tickets(), 2u);
}

TEST_F(TransferTest, TheTicketsOfAPurposeAreRevokedTogether) {
  ASSERT_TRUE(write_file(dir / "other", "text"));
  const Ticket first = try_offer(receiver, 1h, "source", "one").value();
  const Ticket second = try_offer(receiver, 1h, "source", "another").value();
  const Ticket third = try_offer(stranger, 1h, "other", "one").value();
  EXPECT_NE(first.secret, second.secret) << "of one file, for one peer";
  EXPECT_EQ(try_offer(receiver, 1h, "source", "one").value().secret, first.secret);
  server->revoke_purpose("one");
  EXPECT_EQ(server->tickets(), 1u);
  EXPECT_FALSE(fetch_by(receiver, first, no_retries()));
  EXPECT_FALSE(fetch_by(stranger, third, no_retries()));
  EXPECT_TRUE(fetch_by(receiver, second));
  EXPECT_NE(try_offer(receiver, 1h, "source", "one").value().secret, first.secret);
}

TEST_F(TransferTest, APeerTakesItsOwnTicketsOnly) {
  for (const std::string name : {"a", "b", "c", "d"}) ASSERT_TRUE(write_file(dir / name, name));
  for (const std::string name : {"a", "b", "c"}) (void)offer(receiver, 10s, name);
  EXPECT_TRUE(try_offer(receiver, 1h, "d").error().is(Errc::limit_exceeded));
  EXPECT_TRUE(try_offer(receiver, 1h, "a"));
  EXPECT_TRUE(try_offer(stranger, 1h, "d"));
  world.run_for(20s);
  EXPECT_TRUE(try_offer(receiver, 1h, "d")) << "what has ended makes room";
}

TEST_F(TransferTest, ATicketThatIsRevokedStopsItsTransfers) {
  FetchOptions options = no_retries();
  options.on_progress = [&](std::uint64_t, std::uint64_t) { server->revoke_below(dir.path()); };
  put(testing::random_text(200 * kBlock));
  EXPECT_FALSE(fetch_by(receiver, offer(receiver), options));
  EXPECT_EQ(server->tickets(), 0u);
  EXPECT_LT(server->metrics().bytes.value(), content.size());
}

TEST_F(TransferTest, WrongBytesAreNotKept) {
  int flips = 0;
  substrate->set_stream_tap([&](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes data) {
    if (from == sender.network.self() && data.size() > kBlock / 2 && ++flips == 2) data[kBlock / 2] ^= 1;
    return true;
  });
  const Result<Content> got = fetch_it();
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().to_string().find("another digest"), std::string::npos) << got.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(dir / "got"));
  EXPECT_FALSE(part_exists());
}

TEST_F(TransferTest, ADamagedPartIsDroppedAndTheFileFetchedAnew) {
  // Of another file, as after a crash that lost the end of what was written, or longer than the file.
  for (const std::size_t size : {std::size_t{1}, kBlock, content.size(), content.size() + 1}) {
    std::filesystem::remove(dir / "got");
    ASSERT_TRUE(write_file(dir / "got.part", std::string(size, '\0')));
    const Result<Content> got = fetch_it();
    ASSERT_TRUE(got) << size << ": " << got.error().to_string();
    EXPECT_EQ(testing::read(dir / "got"), content);
  }
}

TEST_F(TransferTest, AFileAboveTheLimitIsRefusedByItsSize) {
  FetchOptions options;
  options.max_bytes = content.size() - 1;
  const Result<Content> got = fetch_it(options);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().is(Errc::limit_exceeded));
  EXPECT_FALSE(part_exists());
}

TEST_F(TransferTest, AnotherFileThanTheExpectedIsRefused) {
  FetchOptions options;
  options.expected = Content{content.size(), crypto::sha256(as_bytes("other"))};
  const Result<Content> got = fetch_it(options);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().is(Errc::invalid_argument));
}

TEST_F(TransferTest, WhatIsThereIsNotFetchedAgain) {
  FetchOptions options;
  options.expected = content_of(dir / "source").value();
  ASSERT_TRUE(fetch_it(options));
  ASSERT_TRUE(fetch_it(options));
  EXPECT_EQ(server->metrics().served.value(), 1u);
  ASSERT_TRUE(write_file(dir / "got", "something else"));
  ASSERT_TRUE(fetch_it(options));
  EXPECT_EQ(testing::read(dir / "got"), content);
}

TEST_F(TransferTest, AFileThatChangedIsNotSent) {
  const Ticket ticket = offer(receiver);
  ASSERT_TRUE(write_file(dir / "source", "changed"));
  const Result<Content> got = fetch_by(receiver, ticket, no_retries());
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().to_string().find("cannot read the file"), std::string::npos) << got.error().to_string();
}

TEST_F(TransferTest, LinksInTheWayAreNotFollowed) {
  ASSERT_TRUE(write_file(dir / "mine", "mine"));
  std::filesystem::create_symlink(dir / "mine", dir / "got.part");
  EXPECT_FALSE(fetch_it());
  std::filesystem::remove(dir / "got.part");
  std::filesystem::create_hard_link(dir / "mine", dir / "got.part");
  EXPECT_FALSE(fetch_it());
  std::filesystem::remove(dir / "got.part");
  std::filesystem::create_symlink(dir / "mine", dir / "got");
  EXPECT_TRUE(fetch_it());
  EXPECT_EQ(testing::read(dir / "mine"), "mine");
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(dir / "got")));
}

TEST_F(TransferTest, AFullDiskIsSaid) {
  // The limit of file sizes stands for the disk: RLIMIT_FSIZE makes writes fail in the same places.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = kBlock;
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const Ticket ticket = offer(receiver);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result<Content> got = fetch_by(receiver, ticket);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().to_string().find("got.part"), std::string::npos) << got.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(dir / "got"));
}

TEST_F(TransferTest, TwoTransfersToOneDestinationExcludeEachOther) {
  Result<PartFile> other = PartFile::open(dir / "got");
  ASSERT_TRUE(other);
  EXPECT_TRUE(fetch_it().error().is(Errc::already_exists));
}

TEST_F(TransferTest, APartIsLockedUnderItsName) {
  // While others complete and drop parts of this name, each part that is opened is the one that the name means.
  std::atomic<bool> stop = false;
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i)
    others.emplace_back([&, i] {
      while (!stop) {
        Result<PartFile> part = PartFile::open(dir / "got");
        if (!part) continue;
        if (i == 0)
          part->discard();
        else
          (void)part->finish();
      }
    });
  int opened = 0;
  while (opened < 50) {
    Result<PartFile> part = PartFile::open(dir / "got");
    if (!part) continue;
    ++opened;
    EXPECT_TRUE(part_exists());
    EXPECT_TRUE(PartFile::open(dir / "got").error().is(Errc::already_exists));
    part->discard();
  }
  stop = true;
  for (std::thread& other : others) other.join();
}

/// A peer that opens a stream, writes a request, and does not read.
Task<void> ask_and_hold(network::Network& network, crypto::PeerId to, Ticket ticket,
                        std::vector<std::unique_ptr<ByteStream>>& held) {
  Result<std::unique_ptr<ByteStream>> stream = co_await network.open_stream(to, std::string(kProtocol));
  if (!stream) co_return;
  FileRequest request;
  request.ticket = ticket;
  const auto bytes = encode(request);
  (void)co_await (*stream)->write(bytes);
  held.push_back(*std::move(stream));
}

TEST_F(TransferTest, APeerThatDoesNotReadHoldsItsOwnPlacesForALimitedTime) {
  put(testing::random_text(network::MemoryLink::kWindow + 20 * kBlock));
  const std::size_t places = server_options().max_streams_per_peer;
  std::vector<std::unique_ptr<ByteStream>> held;
  for (std::size_t i = 0; i < places; ++i)
    world.run(receiver.node, ask_and_hold(receiver.network, sender.network.self(), offer(receiver), held));
  ASSERT_EQ(held.size(), places);
  world.run_for(1s);
  const Result<Content> busy = fetch_by(receiver, offer(receiver), no_retries());
  EXPECT_TRUE(busy.error().is(Errc::limit_exceeded)) << busy.error().to_string();
  EXPECT_TRUE(fetch_by(stranger, offer(stranger), no_retries()));
  world.run_for(server_options().stall + 1s);
  EXPECT_TRUE(fetch_by(receiver, offer(receiver), no_retries()));
}

/// Reads a little every second, as long as there is something.
Task<void> trickle(ByteStream& stream, std::size_t each, Result<std::size_t>& last) {
  Bytes into(each);
  while (last && *last > 0) {
    const Result<void> slept = co_await sleep_for(1s);
    if (!slept) co_return;
    last = co_await stream.read_some(into);
  }
}

TEST_F(TransferTest, APeerThatReadsALittleAtATimeIsReset) {
  put(testing::random_text(network::MemoryLink::kWindow + 20 * kBlock));
  std::vector<std::unique_ptr<ByteStream>> held;
  world.run(receiver.node, ask_and_hold(receiver.network, sender.network.self(), offer(receiver), held));
  ASSERT_EQ(held.size(), 1U);
  Result<std::size_t> last = 1;
  Nursery reading(receiver.lane(), "trickle");
  const SteadyTime begin = world.now();
  reading.spawn(trickle(*held.front(), 1024, last));
  world.run(receiver.node, reading.join());
  EXPECT_FALSE(last) << "the sender has given it up";
  EXPECT_LT(world.now() - begin, 3 * server_options().stall);
  EXPECT_EQ(server->metrics().served.value(), 0U);
}

TEST_F(TransferTest, StreamsWithoutARequestHoldNoPlacesAndMakeRoom) {
  std::vector<std::unique_ptr<ByteStream>> held;
  const auto hold = [&](Party& party, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Result<std::unique_ptr<ByteStream>> stream =
          world.run(party.node, party.network.open_stream(sender.network.self(), std::string(kProtocol)));
      held.push_back(std::move(stream.value()));
    }
    world.run_for(10ms);
  };
  const ServerOptions options = server_options();
  hold(stranger, options.max_waiting_per_peer + 1);
  EXPECT_EQ(server->metrics().refused.value(), 1u) << "one of its own was reset";
  EXPECT_TRUE(fetch_by(receiver, offer(receiver), no_retries()));
  EXPECT_TRUE(fetch_by(stranger, offer(stranger), no_retries()));

  // Many peers, each within its bound.
  std::vector<std::unique_ptr<Party>> crowd;
  for (std::size_t i = 0; i < options.max_waiting; ++i) {
    crowd.push_back(std::make_unique<Party>(world, substrate, "crowd " + std::to_string(i)));
    hold(*crowd.back(), 1);
  }
  EXPECT_TRUE(fetch_by(receiver, offer(receiver), no_retries()));
  held.clear();
}

TEST_F(TransferTest, ARequestMustArriveInTime) {
  Result<std::unique_ptr<ByteStream>> stream =
      world.run(receiver.node, receiver.network.open_stream(sender.network.self(), std::string(kProtocol)));
  ASSERT_TRUE(stream);
  world.run_for(server_options().request + 1s);
  std::uint8_t byte = 0;
  const MutableBytes into(&byte, 1);
  const Result<std::size_t> read = world.run(receiver.node, (*stream)->read_some(into));
  EXPECT_TRUE(!read && read.error().is(Errc::closed));
}

/// A sender that writes `script` and then holds the stream.
struct Liar {
  Liar(Party& party, Bytes script) : nursery(party.lane(), "liar") {
    EXPECT_TRUE(party.network.handle_stream(std::string(kProtocol),
                                            [this, script = std::move(script)](const crypto::PeerId&, auto stream) {
                                              held.push_back(std::move(stream));
                                              nursery.spawn(write(*held.back(), script));
                                            }));
  }
  static Task<void> write(ByteStream& stream, Bytes script) { (void)co_await stream.write(script); }
  std::vector<std::unique_ptr<ByteStream>> held;
  Nursery nursery;
};

struct LiarTest : TransferTest {
  LiarTest() {
    close_server();
    server.reset();
  }
  static Bytes answer(std::uint64_t size) {
    FileAnswer head;
    head.status = AnswerStatus::ok;
    head.size = size;
    const auto bytes = encode(head);
    return to_bytes(BytesView(bytes));
  }
  static Bytes chunk(std::uint32_t announced, std::size_t real) {
    std::array<std::uint8_t, kChunkHeader> header{};
    encode_chunk_header(announced, header);
    Bytes bytes = to_bytes(BytesView(header));
    bytes.resize(bytes.size() + real, 'x');
    return bytes;
  }
  std::string failure(std::vector<Bytes> parts) {
    Bytes script;
    for (const Bytes& part : parts) append(script, part);
    Liar liar(sender, script);
    const Result<Content> got = fetch_by(receiver, Ticket(), no_retries());
    liar.held.clear();
    world.run(sender.node, liar.nursery.close());
    sender.network.remove_handler(std::string(kProtocol));
    EXPECT_FALSE(std::filesystem::exists(dir / "got"));
    return got ? "(fetched)" : got.error().to_string();
  }
};

TEST_F(LiarTest, ASenderThatBreaksTheProtocolIsRefused) {
  const auto says = [&](std::vector<Bytes> parts, std::string_view text) {
    const std::string error = failure(std::move(parts));
    EXPECT_NE(error.find(text), std::string::npos) << error;
    std::filesystem::remove(dir / "got.part");
  };
  says({answer(10), chunk(11, 11)}, "more than it announced");
  says({answer(10), chunk(10, 10), chunk(1, 1)}, "more than it announced");
  says({answer(10), chunk(4, 4), chunk(0, 0)}, "6 bytes before");
  says({answer(10), chunk(kMaxChunk + 1, 10)}, "a chunk of");
  says({answer(10), chunk(10, 10), chunk(0, 0)}, "another digest");
  says({Bytes(kAnswerSize, 0xff)}, "unknown status");
  says({answer(std::numeric_limits<std::uint64_t>::max()), chunk(4, 4)}, "at most");
}

/// A chunk of each size, `pause` after the one before.
Task<void> send_chunks(ByteStream& stream, Bytes head, std::vector<Bytes> chunks, Duration pause) {
  (void)co_await stream.write(head);
  for (const Bytes& chunk : chunks) {
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    const Result<void> sent = co_await stream.write(chunk);
    if (!sent) co_return;
  }
}

struct TrickleTest : LiarTest {
  /// How the transfer of `count` chunks ends, and how many bytes of it are here then.
  std::pair<Result<Content>, std::uint64_t> receive_chunks(std::size_t size, std::size_t count, Duration pause) {
    const std::vector<Bytes> chunks(count, chunk(static_cast<std::uint32_t>(size), size));
    std::vector<std::unique_ptr<ByteStream>> held;
    Nursery nursery(sender.lane(), "trickle");
    EXPECT_TRUE(sender.network.handle_stream(std::string(kProtocol), [&](const crypto::PeerId&, auto stream) {
      held.push_back(std::move(stream));
      nursery.spawn(send_chunks(*held.back(), answer(size * count), chunks, pause));
    }));
    const Result<Content> got = fetch_by(receiver, Ticket(), no_retries());
    world.run(sender.node, nursery.close());
    sender.network.remove_handler(std::string(kProtocol));
    std::error_code none;
    const auto here = std::filesystem::file_size(dir / "got.part", none);
    return {got, none ? 0 : here};
  }
};

TEST_F(TrickleTest, ASenderBelowTheLowestRateIsGivenUpAndWhatCameIsKept) {
  const SteadyTime begin = world.now();
  const auto [got, here] = receive_chunks(1000, 1000, 1s);  // 60,000 bytes a minute
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().to_string().find("time"), std::string::npos) << got.error().to_string();
  EXPECT_LT(world.now() - begin, 2 * FetchOptions().stall);
  EXPECT_GT(here, 50'000U);
}

TEST_F(TrickleTest, ASenderAboveItIsSlowAndWaitedFor) {
  const auto [got, here] = receive_chunks(1200, 1000, 1s);  // 72,000 bytes a minute
  ASSERT_FALSE(got);
  EXPECT_EQ(here, 1'200'000U) << "all of it came, and then no end";
}

TEST_F(TrickleTest, ASenderOfManyChunksOfAFewBytesIsRefused) {
  const auto [got, here] = receive_chunks(100, 1000, 1ms);
  ASSERT_FALSE(got);
  EXPECT_TRUE(got.error().is(Errc::invalid_argument)) << got.error().to_string();
  EXPECT_NE(got.error().to_string().find("chunks of a few bytes"), std::string::npos) << got.error().to_string();
  EXPECT_LE(here, 100U * kMaxSliceChunks);
}

TEST_F(LiarTest, ASenderThatStopsIsGivenUp) {
  const SteadyTime begin = world.now();
  EXPECT_NE(failure({answer(10), chunk(10, 4)}).find("time"), std::string::npos);
  EXPECT_LT(world.now() - begin, 2 * FetchOptions().stall);
}

}  // namespace
}  // namespace dms::transfer
