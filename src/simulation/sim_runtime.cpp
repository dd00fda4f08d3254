#include "simulation/sim_runtime.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "base/assert.hpp"
#include "dns/dns_message.hpp"

namespace dms {

namespace {
constexpr std::size_t kSocketBuffers = 256 * 1024;
constexpr std::size_t kMinSegment = 1460;
constexpr std::size_t kMaxSegment = 64 * 1024;

/// How long `bytes` take at `bandwidth`.
Duration span_of(std::size_t bytes, std::uint64_t bandwidth) {
  return Duration(static_cast<std::int64_t>(static_cast<double>(bytes) / static_cast<double>(bandwidth) * 1e9));
}

/// Some 4 ms of the wire, so that streams which share it take turns, but not so little that events abound.
std::size_t segment_size(const SimLink& link) {
  if (link.bandwidth == 0) return kSocketBuffers;
  return std::clamp<std::size_t>(link.bandwidth / 256, kMinSegment, kMaxSegment);
}
}  // namespace

std::size_t SimLink::stream_window() const {
  if (window > 0) return window;
  const double round_trip = std::chrono::duration<double>(2 * (latency + jitter)).count();
  return kSocketBuffers + static_cast<std::size_t>(static_cast<double>(bandwidth) * round_trip);
}

// --- lanes -------------------------------------------------------------------------------------------------------

class SimNode::SimLane final : public Lane {
 public:
  SimLane(SimWorld& world, std::uint32_t owner, std::uint64_t seed) : world_(world), owner_(owner), random_(seed) {}

  void post(Callback work) override { world_.schedule(world_.now(), owner_, std::move(work)); }
  TimerId call_at(SteadyTime when, Callback work) override {
    const auto id = static_cast<TimerId>(++last_timer_);
    timers_[id] = world_.schedule(std::max(when, world_.now()), owner_, [this, id, work = std::move(work)]() mutable {
      timers_.erase(id);
      work();
    });
    return id;
  }
  void cancel_timer(TimerId id) override {
    if (auto it = timers_.find(id); it != timers_.end()) {
      world_.unschedule(it->second);
      timers_.erase(it);
    }
  }
  [[nodiscard]] SteadyTime now() const override { return world_.now(); }
  [[nodiscard]] UnixTime unix_now() const override { return world_.unix_now(); }
  Random& random() override { return random_; }
  void offload(Callback work, Callback done) override {
    post([this, work = std::move(work), done = std::move(done)]() mutable {
      work();
      post(std::move(done));
    });
  }

 private:
  SimWorld& world_;
  std::uint32_t owner_;
  SeededRandom random_;
  std::uint64_t last_timer_ = 0;
  std::unordered_map<TimerId, SimWorld::EventId> timers_;
};

// --- one direction of a stream -----------------------------------------------------------------------------------

struct SimWorld::Pipe : std::enable_shared_from_this<Pipe> {
  struct Segment {
    Bytes data;  // empty: the end of the stream
    SteadyTime arrives;
    SteadyTime sent;
  };
  SimWorld& world;
  SimNode& from;
  SimNode& to;
  Wire& wire;
  std::weak_ptr<Pipe> back;  // the other direction of the same stream
  std::deque<Segment> flying;
  std::deque<Bytes> arrived;
  std::size_t taken = 0;   // of arrived.front()
  std::size_t unread = 0;  // flying and arrived
  bool ended = false;
  bool broken = false;
  bool orphan = false;  // the node that would read has lost all memory of it
  bool pumping = false;
  Notify readable;
  Notify writable;

  Pipe(SimWorld& w, SimNode& f, SimNode& t) : world(w), from(f), to(t), wire(w.wires_[{&f, &t}]) {}

  [[nodiscard]] const SimLink& link() const { return world.link(from, to); }

  /// The next place on the wire for so many bytes: when the last of them leaves. Places are given in the order asked for,
  /// so that writers who wait take turns.
  SteadyTime reserve(std::size_t bytes) {
    if (link().bandwidth == 0) return world.now();
    wire.free_at = std::max(world.now(), wire.free_at) + span_of(bytes, link().bandwidth);
    return wire.free_at;
  }
  /// How much sooner than it leaves a segment may be in the queue.
  [[nodiscard]] Duration queue_span() const {
    return link().bandwidth == 0 ? 0ns : span_of(link().queue, link().bandwidth);
  }

  void send(Bytes data, SteadyTime leaves) {
    unread += data.size();
    SteadyTime arrives = std::max(leaves, world.now()) + world.delay(from, to);
    if (!flying.empty()) arrives = std::max(arrives, flying.back().arrives);
    flying.push_back({std::move(data), arrives, world.now()});
    pump();
  }

  void pump() {
    if (pumping || flying.empty()) return;
    pumping = true;
    world.schedule(std::max(flying.front().arrives, world.now()), 0, [self = shared_from_this()] { self->deliver(); });
  }

  void deliver() {
    pumping = false;
    if (broken || flying.empty()) return;
    const bool silent = orphan && !to.alive_;
    if (world.is_cut(from, to) || silent) {
      if (world.now() - flying.front().sent > link().give_up) return silent ? break_both() : break_up();
      flying.front().arrives = world.now() + link().retransmit;
      return pump();
    }
    if (orphan) return break_both();
    Segment segment = std::move(flying.front());
    flying.pop_front();
    if (segment.data.empty())
      ended = true;
    else
      arrived.push_back(std::move(segment.data));
    readable.notify_all();
    pump();
  }

  std::size_t take(MutableBytes into) {
    std::size_t count = 0;
    while (count < into.size() && !arrived.empty()) {
      const BytesView rest = BytesView(arrived.front()).subspan(taken);
      const std::size_t n = std::min(into.size() - count, rest.size());
      std::memcpy(into.data() + count, rest.data(), n);
      count += n;
      taken += n;
      if (n < rest.size()) break;
      arrived.pop_front();
      taken = 0;
    }
    unread -= count;
    return count;
  }

  void break_both() {
    break_up();
    if (auto other = back.lock()) other->break_up();
  }

  void break_up() {
    broken = true;
    flying.clear();
    arrived.clear();
    readable.notify_all();
    writable.notify_all();
  }
};

class SimStream final : public ByteStream {
 public:
  using PipePtr = std::shared_ptr<SimWorld::Pipe>;
  SimStream(SimNode& node, PipePtr in, PipePtr out)
      : node_(node), number_(++node.last_stream_), in_(std::move(in)), out_(std::move(out)) {
    node_.streams_.emplace(number_, this);
  }
  ~SimStream() override {
    abort();
    node_.streams_.erase(number_);
  }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    SimWorld::Pipe& in = *in_;
    while (vanished_ || in.arrived.empty()) {
      if (vanished_) co_return fail(Errc::closed, "read: this machine has lost its power");
      if (in.broken) co_return fail(Errc::closed, "read: connection reset");
      if (in.ended) co_return std::size_t{0};
      CO_TRY_VOID(co_await in.readable.wait());
    }
    const std::size_t n = in.take(into);
    in.writable.notify_all();
    co_return n;
  }

  Task<Result<void>> write(BytesView from) override {
    SimWorld::Pipe& out = *out_;
    while (!from.empty()) {
      CO_TRY_VOID(may_write());
      const std::size_t window = out.link().stream_window();
      if (out.unread >= window) {
        CO_TRY_VOID(co_await out.writable.wait());
        continue;
      }
      const std::size_t n = std::min({from.size(), window - out.unread, segment_size(out.link())});
      const SteadyTime leaves = out.reserve(n);
      if (const SteadyTime enters = leaves - out.queue_span(); enters > out.world.now()) {
        CO_TRY_VOID(co_await sleep_until(enters));
        CO_TRY_VOID(may_write());
      }
      out.send(to_bytes(from.first(n)), leaves);
      from = from.subspan(n);
    }
    co_return Result<void>();
  }

  Task<Result<void>> close_write() override {
    if (!closed_ && !vanished_ && !out_->broken) out_->send({}, out_->reserve(0));
    closed_ = true;
    co_return Result<void>();
  }

  void abort() override {
    if (vanished_ || (in_->broken && out_->broken)) return;
    const bool finished = closed_ && in_->ended && in_->arrived.empty();
    if (!in_->broken) in_->break_up();
    if (finished || out_->broken) return;  // both halves ended in order: nothing to reset
    // The reset travels like a segment, and is lost for good if the link is cut.
    SimWorld& world = in_->world;
    world.schedule(world.now() + world.delay(out_->from, out_->to), 0, [in = in_, out = out_] {
      if (!out->world.is_cut(out->from, out->to)) out->break_up();
    });
    closed_ = true;
  }

  /// This machine is gone. The other side's half of the pipes stays as it is.
  void vanish() {
    vanished_ = true;
    in_->orphan = true;
    in_->readable.notify_all();
    out_->writable.notify_all();
  }

 private:
  [[nodiscard]] Result<void> may_write() const {
    if (vanished_) return fail(Errc::closed, "write: this machine has lost its power");
    if (out_->broken) return fail(Errc::closed, "write: connection reset");
    if (closed_) return fail(Errc::closed, "write: this half is closed");
    return {};
  }

  SimNode& node_;
  std::uint64_t number_;
  PipePtr in_;
  PipePtr out_;
  bool closed_ = false;
  bool vanished_ = false;
};

// --- listening and connecting --------------------------------------------------------------------------------------

class SimListener final : public Listener {
 public:
  SimListener(SimNode& node, IpEndpoint local) : node_(node), local_(local) { node_.listeners_[local.port] = this; }
  ~SimListener() override { close(); }
  Task<Result<Accepted>> accept() override {
    while (backlog_.empty()) {
      if (closed_) co_return fail(Errc::closed, "the listener is closed");
      CO_TRY_VOID(co_await arrived_.wait());
    }
    Accepted next = std::move(backlog_.front());
    backlog_.pop_front();
    co_return std::move(next);
  }
  [[nodiscard]] IpEndpoint local() const override { return local_; }
  void close() override {
    if (closed_) return;
    closed_ = true;
    node_.listeners_.erase(local_.port);
    backlog_.clear();
    arrived_.notify_all();
  }
  void offer(Accepted accepted) {
    backlog_.push_back(std::move(accepted));
    arrived_.notify_one();
  }

 private:
  SimNode& node_;
  IpEndpoint local_;
  bool closed_ = false;
  std::deque<Accepted> backlog_;
  Notify arrived_;
};

class SimNet final : public Net {
 public:
  explicit SimNet(SimNode& node) : node_(node) {}

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint& at) override {
    if (!node_.alive_) return fail(Errc::io, "listen on {}: the node is down", at.to_string());
    IpEndpoint local{at.address.is_unspecified() ? node_.address_ : at.address, at.port};
    if (local.port == 0) local.port = node_.next_port_++;
    if (node_.listeners_.contains(local.port))
      return fail(Errc::already_exists, "listen on {}: address in use", at.to_string());
    return std::make_unique<SimListener>(node_, local);
  }

  Task<Result<Accepted>> connect_tcp(IpEndpoint to) override {
    SimWorld& world = node_.world_;
    SimNode* other = to.address.is_loopback() ? &node_ : world.find(to.address);
    if (!node_.alive_) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
    CO_TRY_VOID(co_await sleep_for(world.connect_delay(node_, other)));
    if (!node_.alive_) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
    if (other == nullptr || !other->alive_ || world.is_cut(node_, *other)) {
      CO_TRY_VOID(co_await sleep_for(other == nullptr ? world.link_.give_up : world.link(node_, *other).give_up));
      co_return fail(Errc::io, "connect to {}: no answer", to.to_string());
    }
    const auto listener = other->listeners_.find(to.port);
    if (listener == other->listeners_.end()) {
      CO_TRY_VOID(co_await sleep_for(world.delay(*other, node_)));
      co_return fail(Errc::io, "connect to {}: connection refused", to.to_string());
    }
    auto forth = std::make_shared<SimWorld::Pipe>(world, node_, *other);
    auto back = std::make_shared<SimWorld::Pipe>(world, *other, node_);
    forth->back = back;
    back->back = forth;
    const IpEndpoint local{to.address.is_loopback() ? to.address : node_.address_, node_.next_port_++};
    Accepted theirs;
    theirs.stream = std::make_unique<SimStream>(*other, forth, back);
    theirs.local = to;
    theirs.remote = local;
    Accepted ours;
    ours.stream = std::make_unique<SimStream>(node_, back, forth);
    ours.local = local;
    ours.remote = to;
    listener->second->offer(std::move(theirs));
    CO_TRY_VOID(co_await sleep_for(world.connect_delay(*other, &node_)));
    if (!node_.alive_) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
    co_return std::move(ours);
  }

  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) override {
    co_return fail(Errc::unsupported, "connect to {}: a simulated node has no Unix sockets", path);
  }
  Task<Result<std::vector<IpAddress>>> resolve_host(std::string name, IpFamily family) override {
    CO_TRY_VOID(co_await ask(name));
    std::vector<IpAddress> found;
    const auto& hosts = node_.world_.names_.hosts;
    const auto it = hosts.find(name);
    for (const IpAddress& ip : it == hosts.end() ? std::vector<IpAddress>() : it->second)
      if ((family == IpFamily::any || ip.is_v6() == (family == IpFamily::v6)) && found.size() < kMaxHostAddresses)
        found.push_back(ip);
    if (found.empty()) co_return fail(Errc::not_found, "look up {}: it has no address", name);
    co_return std::move(found);
  }
  Task<Result<std::vector<std::string>>> resolve_text(std::string name) override {
    CO_TRY_VOID(co_await ask(name));
    const auto& texts = node_.world_.names_.texts;
    const auto it = texts.find(name);
    std::vector<std::string> found;
    if (it != texts.end()) found = it->second;
    if (found.empty()) co_return fail(Errc::not_found, "look up the texts of {}: there are none", name);
    found.resize(std::min(found.size(), kMaxTextRecords));
    co_return std::move(found);
  }
  Result<std::vector<IpAddress>> interface_addresses() override {
    return std::vector<IpAddress>{IpAddress::v4({127, 0, 0, 1}), node_.address_};
  }

 private:
  /// One query for a name, which it turns into lower case.
  Task<Result<void>> ask(std::string& name) {
    SimWorld& world = node_.world_;
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!node_.alive_) co_return fail(Errc::io, "look up {}: the node is down", name);
    ++world.names_.queries;
    const bool silent = world.names_.silent.contains(name);
    CO_TRY_VOID(co_await sleep_for(silent ? world.link_.give_up : world.names_.latency));
    if (silent) co_return fail(Errc::io, "look up {}: no name server answers", name);
    co_return Result<void>();
  }

  SimNode& node_;
};

SimNode::SimNode(SimWorld& world, std::string name, IpAddress address, std::uint64_t seed)
    : world_(world), name_(std::move(name)), address_(address) {
  lane_ = std::make_unique<SimLane>(world, address.bytes()[3], seed);
  net_ = std::make_unique<SimNet>(*this);
}
SimNode::~SimNode() = default;

Runtime SimNode::runtime() { return {*lane_, *net_}; }
std::size_t SimNode::open_streams() const { return streams_.size() + listeners_.size(); }

void SimNode::kill() {
  alive_ = false;
  while (!listeners_.empty()) listeners_.begin()->second->close();
  const auto streams = streams_;
  for (const auto& [number, stream] : streams) stream->abort();
}

void SimNode::vanish() {
  alive_ = false;
  for (const auto& [number, stream] : streams_) stream->vanish();
  while (!listeners_.empty()) listeners_.begin()->second->close();
}

// --- the world -----------------------------------------------------------------------------------------------------

SimWorld::SimWorld(std::uint64_t seed, SimLink link) : link_(link), random_(seed) {}
SimWorld::~SimWorld() = default;

SimNode& SimWorld::add_node(std::string name) {
  const auto number = static_cast<std::uint32_t>(nodes_.size() + 1);
  const auto address =
      IpAddress::v4({10, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)});
  nodes_.push_back(std::unique_ptr<SimNode>(new SimNode(*this, std::move(name), address, random_.u64())));
  return *nodes_.back();
}

void SimWorld::cut(const SimNode& a, const SimNode& b, bool is_cut) {
  for (const auto& pair : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (is_cut)
      cuts_.insert(pair);
    else
      cuts_.erase(pair);
  }
}

bool SimWorld::is_cut(const SimNode& a, const SimNode& b) const {
  return a.group_ != b.group_ || cuts_.contains({&a, &b});
}

void SimWorld::partition(const std::vector<std::vector<SimNode*>>& groups) {
  for (const auto& node : nodes_) node->group_ = 0;
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (SimNode* node : groups[i]) node->group_ = i + 1;
}

void SimWorld::set_link(const SimNode& a, const SimNode& b, SimLink forth, SimLink back) {
  links_[{&a, &b}] = forth;
  links_[{&b, &a}] = back;
}

const SimLink& SimWorld::link(const SimNode& from, const SimNode& to) const {
  const auto own = links_.find({&from, &to});
  return own == links_.end() ? link_ : own->second;
}

SimNode* SimWorld::find(const IpAddress& address) const {
  for (const auto& node : nodes_)
    if (node->address_ == address && node->alive_) return node.get();
  return nullptr;
}

Duration SimWorld::delay(const SimNode& from, const SimNode& to) {
  const SimLink& link = this->link(from, to);
  Duration delay = link.latency;
  if (link.jitter > 0ns) delay += Duration(random_.below(static_cast<std::uint64_t>(link.jitter.count())));
  if (link.loss > 0) {
    const auto threshold = static_cast<std::uint64_t>(link.loss * 1e6);
    for (int tries = 0; tries < 10 && random_.below(1'000'000) < threshold; ++tries) delay += link.retransmit;
  }
  return delay;
}

/// `to` is null where nobody has the address.
Duration SimWorld::connect_delay(const SimNode& from, const SimNode* to) {
  const SimNode& other = to == nullptr ? from : *to;
  const Duration spread = link(from, other).connect_jitter;
  const Duration extra = spread > 0ns ? Duration(random_.below(static_cast<std::uint64_t>(spread.count()))) : 0ns;
  return delay(from, other) + extra;
}

SimWorld::EventId SimWorld::schedule(SteadyTime when, std::uint32_t owner, Callback work) {
  DMS_ASSERT(when >= now_, "an event is scheduled in the past");
  const EventId id{when, ++sequence_};
  events_.emplace(id, Event{owner, std::move(work)});
  return id;
}

bool SimWorld::step() {
  if (events_.empty()) return false;
  auto node = events_.extract(events_.begin());
  now_ = node.key().first;
  ++processed_;
  for (std::uint64_t word : {static_cast<std::uint64_t>(now_.time_since_epoch().count()), node.key().second,
                             static_cast<std::uint64_t>(node.mapped().owner)})
    trace_ = (trace_ ^ word) * 0x100000001b3ULL;  // FNV-1a, a word at a time
  node.mapped().work();
  return true;
}

void SimWorld::run(SimNode& node, Task<void> task) {
  Nursery nursery(*node.lane_, "simulation");
  nursery.spawn(std::move(task));
  while (nursery.size() > 0) {
    if (step()) continue;
    DMS_ASSERT(false, "the simulation has nothing left to do, but its task on '{}' still waits", node.name_);
  }
}

bool SimWorld::run_until(const std::function<bool()>& condition, Duration limit) {
  const SteadyTime end = now_ + limit;
  while (!condition()) {
    if (events_.empty() || events_.begin()->first.first > end) return false;
    step();
  }
  return true;
}

void SimWorld::run_for(Duration duration) {
  const SteadyTime end = now_ + duration;
  while (!events_.empty() && events_.begin()->first.first <= end) step();
  now_ = end;
}

}  // namespace dms
