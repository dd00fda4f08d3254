// A server that echoes what it reads, and a client, for tests of streams, tasks and links.
#pragma once

#include "simulation/sim_world.hpp"

namespace dms {

inline Task<void> echo(std::unique_ptr<ByteStream> stream) {
  Bytes buffer(4096);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

inline Task<void> echo_server(Net& net, Nursery& nursery, int connections) {
  auto listener = net.listen_tcp({IpAddress(), 7});
  for (int i = 0; i < connections; ++i) {
    Result<Accepted> next = co_await (*listener)->accept();
    if (!next) co_return;
    nursery.spawn(echo(std::move(next->stream)));
  }
}

inline Task<Result<Bytes>> exchange(Net& net, IpAddress server, Bytes message) {
  const IpEndpoint to{server, 7};
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  CO_TRY_VOID(co_await connection.stream->write(message));
  CO_TRY_VOID(co_await connection.stream->close_write());
  co_return co_await read_to_end(*connection.stream, 1 << 20);
}

struct EchoWorld {
  explicit EchoWorld(std::uint64_t seed, SimLink link = {}) : world(seed, link) {}
  SimWorld world;
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Nursery nursery{server.runtime().lane, "server"};

  void serve(int connections) { nursery.spawn(echo_server(server.runtime().net, nursery, connections)); }
  void close() { world.run(server, nursery.close()); }
};

}  // namespace dms
