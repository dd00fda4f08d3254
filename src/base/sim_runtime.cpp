#include "base/sim_runtime.hpp"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <unordered_map>

#include "base/dns_message.hpp"

namespace dms {

namespace {
constexpr std::size_t kPipeCapacity = 256 * 1024;  // bytes written and not yet read, as socket buffers would hold
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
  std::deque<Segment> flying;
  std::deque<std::uint8_t> arrived;
  std::size_t unread = 0;  // flying and arrived
  bool ended = false;
  bool broken = false;
  bool pumping = false;
  Notify readable;
  Notify writable;

  Pipe(SimWorld& w, SimNode& f, SimNode& t) : world(w), from(f), to(t) {}

  void send(Bytes data) {
    unread += data.size();
    SteadyTime arrives = world.now() + world.delay();
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
    if (world.is_cut(from, to)) {
      if (world.now() - flying.front().sent > world.link_.give_up) return break_up();
      flying.front().arrives = world.now() + world.link_.retransmit;
      return pump();
    }
    Segment segment = std::move(flying.front());
    flying.pop_front();
    if (segment.data.empty()) ended = true;
    arrived.insert(arrived.end(), segment.data.begin(), segment.data.end());
    readable.notify_all();
    pump();
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
  SimStream(SimNode& node, PipePtr in, PipePtr out) : node_(node), in_(std::move(in)), out_(std::move(out)) {
    node_.streams_.insert(this);
  }
  ~SimStream() override {
    abort();
    node_.streams_.erase(this);
  }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    SimWorld::Pipe& in = *in_;
    while (in.arrived.empty()) {
      if (in.broken) co_return fail(Errc::closed, "read: connection reset");
      if (in.ended) co_return std::size_t{0};
      CO_TRY_VOID(co_await in.readable.wait());
    }
    const std::size_t n = std::min(into.size(), in.arrived.size());
    std::copy_n(in.arrived.begin(), n, into.begin());
    in.arrived.erase(in.arrived.begin(), in.arrived.begin() + static_cast<std::ptrdiff_t>(n));
    in.unread -= n;
    in.writable.notify_all();
    co_return n;
  }

  Task<Result<void>> write(BytesView from) override {
    SimWorld::Pipe& out = *out_;
    while (!from.empty()) {
      while (!out.broken && out.unread >= kPipeCapacity) CO_TRY_VOID(co_await out.writable.wait());
      if (out.broken) co_return fail(Errc::closed, "write: connection reset");
      if (closed_) co_return fail(Errc::closed, "write: this half is closed");
      const std::size_t n = std::min(from.size(), kPipeCapacity - out.unread);
      out.send(to_bytes(from.first(n)));
      from = from.subspan(n);
    }
    co_return Result<void>();
  }

  Task<Result<void>> close_write() override {
    if (!closed_ && !out_->broken) out_->send({});
    closed_ = true;
    co_return Result<void>();
  }

  void abort() override {
    if (in_->broken && out_->broken) return;
    const bool finished = closed_ && in_->ended && in_->arrived.empty();
    if (!in_->broken) in_->break_up();
    if (finished || out_->broken) return;  // both halves ended in order: nothing to reset
    // The reset travels like a segment, and is lost for good if the link is cut.
    SimWorld& world = in_->world;
    world.schedule(world.now() + world.delay(), 0, [in = in_, out = out_] {
      if (!out->world.is_cut(out->from, out->to)) out->break_up();
    });
    closed_ = true;
  }

 private:
  SimNode& node_;
  PipePtr in_;
  PipePtr out_;
  bool closed_ = false;
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
    CO_TRY_VOID(co_await sleep_for(world.delay()));
    if (!node_.alive_) co_return fail(Errc::io, "connect to {}: the node is down", to.to_string());
    if (other == nullptr || world.is_cut(node_, *other)) {
      CO_TRY_VOID(co_await sleep_for(world.link_.give_up));
      co_return fail(Errc::io, "connect to {}: no answer", to.to_string());
    }
    const auto listener = other->listeners_.find(to.port);
    if (listener == other->listeners_.end()) {
      CO_TRY_VOID(co_await sleep_for(world.delay()));
      co_return fail(Errc::io, "connect to {}: connection refused", to.to_string());
    }
    auto forth = std::make_shared<SimWorld::Pipe>(world, node_, *other);
    auto back = std::make_shared<SimWorld::Pipe>(world, *other, node_);
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
    CO_TRY_VOID(co_await sleep_for(world.delay()));
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
  const std::set<SimStream*> streams = streams_;
  for (SimStream* stream : streams) stream->abort();
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

bool SimWorld::is_cut(const SimNode& a, const SimNode& b) const { return cuts_.contains({&a, &b}); }

SimNode* SimWorld::find(const IpAddress& address) const {
  for (const auto& node : nodes_)
    if (node->address_ == address && node->alive_) return node.get();
  return nullptr;
}

Duration SimWorld::delay() {
  Duration delay = link_.latency;
  if (link_.jitter > 0ns) delay += Duration(random_.below(static_cast<std::uint64_t>(link_.jitter.count())));
  if (link_.loss > 0) {
    const auto threshold = static_cast<std::uint64_t>(link_.loss * 1e6);
    for (int tries = 0; tries < 10 && random_.below(1'000'000) < threshold; ++tries) delay += link_.retransmit;
  }
  return delay;
}

SimWorld::EventId SimWorld::schedule(SteadyTime when, std::uint32_t owner, Callback work) {
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
    std::fprintf(stderr, "bug: the simulation has nothing left to do, but its task on '%s' still waits\n",
                 node.name_.c_str());
    std::abort();
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
