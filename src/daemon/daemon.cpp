#include "daemon/daemon.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "api/server.hpp"
#include "api/settings.hpp"
#include "base/assert.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "cli/client/daemon_lock.hpp"
#include "cli/client/settings.hpp"
#include "daemon/address_book.hpp"
#include "executor/factory.hpp"
#include "executor/settings.hpp"
#include "hardware/machine.hpp"
#include "network/libp2p_network.hpp"
#include "network/settings.hpp"
#include "node/node.hpp"
#include "node/settings.hpp"
#include "observability/logging.hpp"
#include "observability/settings.hpp"
#include "provider/settings.hpp"
#include "runtime/real_runtime.hpp"

namespace dms {
namespace {

constexpr Duration kBootstrapPause = std::chrono::seconds(30);
constexpr Duration kBootstrapTimeout = std::chrono::seconds(20);

/// Mode 0700: its contents are private to the user.
Result<void> make_folder(const std::filesystem::path& path) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(path, error);
  if (!error && made) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  if (error)
    return fail(Errc::io, "{}: {}; choose another folder with --work-dir or --user-dir", path.string(),
                error.message());
  return {};
}

Result<std::unique_ptr<observability::Logging>> start_logging(const config::Loaded& settings, Lane& lane) {
  const auto logging = settings.section<observability::Settings>();
  observability::LogOptions options;
  TRY(options.level, observability::parse_level(logging.level));
  if (settings.section<cli::FolderSettings>().debug) options.level = log::Level::debug;
  options.file = logging.file;
  options.max_size = logging.max_size_mb << 20;
  options.max_backups = logging.max_backups;
  options.max_age = std::chrono::hours(24 * static_cast<std::int64_t>(logging.max_age_days));
  options.now = [&lane] { return lane.unix_now(); };
  return observability::Logging::install(std::move(options));
}

/// The context on disk; if there is none, a new one without anchors.
Result<ucan::CapabilityContext> open_capabilities(const std::filesystem::path& file, const crypto::PrivateKey& key,
                                                  Lane& lane) {
  auto context = ucan::CapabilityContext::load(file, key, lane.random(), lane.unix_now());
  if (context || !context.error().is(Errc::not_found)) return context;
  context = ucan::CapabilityContext::create(key, lane.random());
  if (!context) return context;
  TRY_VOID(context->save(file));
  log::warn("daemon", "created {} without anchors: `nunet cap anchor -c dms --root <your DID>` makes you its operator",
            file.string());
  return context;
}

/// p2p.memory counts MiB; of it and of p2p.fd, 0 is the default.
network::Libp2pOptions network_options(const network::Settings& p2p) {
  network::Libp2pOptions options;
  auto& limits = options.host.swarm.limits;
  limits = libp2p::ResourceLimits::scaled(std::min(p2p.memory, libp2p::kNoLimit >> 20) << 20, p2p.fd);
  limits.settings = {{"system.memory", "p2p.memory"}, {"system.fds", "p2p.fd"}};
  options.host.swarm.security = p2p.security;
  return options;
}

/// The resources that could be determined; the rest counts as absent.
capability::Resources resources_of(hardware::Report report) {
  for (const auto& problem : report.problems) log::debug("daemon", "examining this machine: {}", problem);
  return std::move(report.resources);
}

hardware::Options examined(const std::filesystem::path& folder) {
  hardware::Options options;
  options.work_dir = folder;
  return options;
}

void log_settings_warnings(const config::Loaded& settings) {
  for (const auto& warning : settings.warnings) log::warn("daemon", "{}", warning);
  const auto idle = settings.set_without_effect();
  if (!idle.empty())
    log::warn("daemon", "these settings have no effect: {} (see `nunet config list`)", fmt::join(idle, ", "));
}

/// Writing to a closed output then fails without ending the daemon. A handler rather than SIG_IGN, which programs started by
/// the daemon would inherit.
/// Of Linux: a new one at each boot.
std::string boot_id() {
  Result<std::string> id = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (!id) log::warn("daemon", "work cannot be taken up after a restart of the machine: {}", id.error().to_string());
  return id.value_or("");
}

void ignore_sigpipe() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGPIPE, &action, nullptr);
}

/// Where the path of the Docker engine's socket comes from.
std::string docker_socket_source(const config::Loaded& settings) {
  constexpr std::string_view kKey = "executor.docker_socket";
  switch (settings.origin(kKey)) {
    case config::Origin::initial: return fmt::format("the default of {}", kKey);
    case config::Origin::file: return fmt::format("{} in {}", kKey, settings.file.string());
    case config::Origin::environment: break;
  }
  return fmt::format("{} in the environment", kKey);
}

/// Other programs read this variable.
void log_unused_docker_host(const executor::Settings& settings) {
  const char* host = ::getenv("DOCKER_HOST");  // NOLINT(concurrency-mt-unsafe): this program sets no variables
  if (host == nullptr || *host == '\0' || !settings.docker || host == "unix://" + settings.docker_socket) return;
  log::info("daemon", "DOCKER_HOST is set and not read: executor.docker_socket names the socket of the Docker engine");
}

class Daemon {
 public:
  Daemon(Runtime runtime, metrics::Registry& registry, const config::Loaded& settings, const cli::RunOptions& options,
         std::filesystem::path capabilities_file, crypto::PrivateKey key)
      : runtime_(runtime),
        registry_(registry),
        folders_(settings.section<cli::FolderSettings>()),
        rest_(settings.section<api::Settings>()),
        p2p_(settings.section<network::Settings>()),
        executor_(settings.section<executor::Settings>()),
        jobs_(settings.section<executor::JobSettings>()),
        leases_(settings.section<provider::Settings>()),
        prices_(settings.section<provider::PriceSettings>()),
        location_(settings.section<node::LocationSettings>()),
        share_(settings.section<resources::ShareSettings>()),
        options_(options),
        docker_socket_source_(docker_socket_source(settings)),
        shown_(settings.shown()),
        capabilities_file_(std::move(capabilities_file)),
        key_(std::move(key)),
        processes_(runtime.lane),
        nursery_(runtime.lane, "daemon") {}

  /// Until stop() is called; an error if the start failed.
  Task<Result<void>> run() {
    auto started = co_await start();
    if (started && !stopping_) print_summary();
    while (started && !stopping_) (void)co_await stop_.wait_shielded();
    log::info("daemon", "stopping");
    log_metrics();
    co_await close();
    co_return started;
  }

  void stop() {
    if (std::exchange(stopping_, true)) ::_exit(130);
    stop_.notify_all();
  }

  void reload() {
    if (!capabilities_) return;
    auto text = read_file(capabilities_file_, ucan::kMaxContextFile);
    auto read =
        text ? capabilities_->reload(*text, runtime_.lane.unix_now()) : Result<void>(std::unexpected(text.error()));
    if (!read) return log::error("daemon", "the capability context is unchanged: {}", read.error().to_string());
    log::info("daemon", "reloaded {}", capabilities_file_.string());
  }

 private:
  Task<Result<void>> start() {
    Lane& lane = runtime_.lane;
    const std::filesystem::path work_dir = folders_.work_dir;
    CO_TRY(auto capabilities, open_capabilities(capabilities_file_, key_, lane));
    capabilities_ = std::make_shared<ucan::CapabilityContext>(std::move(capabilities));
    auto store = db::Store::open((work_dir / "nunet.db").string());
    if (!store) co_return fail(store.error(), "opening the database");
    store_ = std::make_unique<db::AsyncStore>(lane, *std::move(store));
    store_->metrics().register_with(registry_);
    CO_TRY(resources_, resources::Manager::open(*store_, [&lane] { return lane.now(); }));
    Task<Result<void>> offering = offer_share(work_dir);
    CO_TRY_VOID(co_await std::move(offering));
    network_ = std::make_unique<network::Libp2pNetwork>(runtime_, key_, network_options(p2p_));
    network_->register_metrics(registry_);
    Task<Result<void>> executors = find_executors(work_dir);
    CO_TRY_VOID(co_await std::move(executors));
    if (stopping_) co_return Result<void>();
    // Nothing waits between this and the node's root actor, which holds what arrives until the node can answer.
    CO_TRY_VOID(listen());
    if (!options_.dev) {
      book_ = std::make_unique<AddressBook>(lane, network_->host(), *store_, [this] {
        return node_ ? node_->partners() : std::optional<std::set<crypto::PeerId>>();
      });
      CO_TRY_VOID(book_->start());
    }
    Task<Result<void>> node = start_node(work_dir);
    CO_TRY_VOID(co_await std::move(node));
    CO_TRY_VOID(start_api());
    nursery_.spawn(bootstrap());
    co_return Result<void>();
  }

  Task<Result<void>> offer_share(std::filesystem::path work_dir) {
    const bool is_due = !resources_->onboarded() && (options_.dev || (!share_.empty() && !resources_->is_decided()));
    if (!is_due) co_return Result<void>();
    CO_TRY(const resources::Machine machine, this_machine(work_dir));
    CO_TRY(const capability::Resources share, resources::share_of(share_, machine));
    Task<Result<void>> onboarding = resources_->onboard(share, machine.total);
    const Result<void> onboarded = co_await std::move(onboarding);
    if (!onboarded) co_return fail(onboarded.error(), "offering {} (onboarding.cpu, ram, disk)", share.to_string());
    log::info("daemon", "this machine offers {}", share.to_string());
    co_return Result<void>();
  }

  Result<void> listen() {
    for (const auto& address : p2p_.listen_address) {
      auto listening = network_->listen(address);
      if (listening) continue;
      if (!listening.error().is(Errc::unsupported)) return fail(listening.error(), "p2p.listen_address {}", address);
      log::info("daemon", "not listening on {}: {}", address, listening.error().to_string());
    }
    if (network_->listen_addresses().empty())
      return fail(Errc::invalid_argument, "p2p.listen_address: expected an address such as /ip4/0.0.0.0/tcp/9000");
    return {};
  }

  Task<Result<void>> find_executors(std::filesystem::path work_dir) {
    executor::FactoryOptions options;
    options.docker.socket = executor_.docker_socket;
    options.docker_socket_source = docker_socket_source_;
    log_unused_docker_host(executor_);
    options.docker.registries = executor_.docker_registries;
    options.docker.id = network_->self().to_string();
    options.docker.state_dir = work_dir / "docker";
    options.docker.allow_privileged = jobs_.allow_privileged_docker;
    options.sandbox.state_dir = work_dir / "sandbox";
    options.offer_docker = executor_.docker;
    options.offer_sandbox = executor_.sandbox;
    CO_TRY(executors_, co_await executor::find_executors(runtime_, processes_, std::move(options)));
    executors_->register_with(registry_);
    co_return Result<void>();
  }

  Task<Result<void>> start_node(std::filesystem::path work_dir) {
    node::Services services{runtime_, *network_, *store_, *resources_, {}, {}, {}, boot_id()};
    for (const auto& type : executors_->types()) {
      CO_TRY(services.executors[type], executors_->find(type));
    }
    const hardware::Options machine = examined(work_dir);
    services.machine = [machine] { return resources_of(hardware::discover(machine)); };
    services.usage = [machine] { return resources_of(hardware::usage(machine)); };
    services.hostname = hardware::hostname;
    services.interfaces = hardware::network_interfaces;
    node::Options options;
    options.work_dir = work_dir;
    options.location.continent = location_.host_continent;
    options.location.country = location_.host_country;
    options.location.city = location_.host_city;
    options.allow_privileged_docker = jobs_.allow_privileged_docker;
    options.leases = leases_.bounds();
    options.retention = leases_.retention_time();
    options.max_results = leases_.most_results();
    options.prices = prices_.prices();
    options.capabilities_file = capabilities_file_;
    options.config = shown_;
    Task<Result<std::unique_ptr<node::Node>>> starting =
        node::Node::start(std::move(services), key_, capabilities_, std::move(options));
    CO_TRY(node_, co_await std::move(starting));
    node_->root().system().register_metrics(registry_);
    node_->provider().metrics().register_with(registry_);
    node_->transfers().register_metrics(registry_);
    co_return Result<void>();
  }

  Result<void> start_api() {
    api::Options options;
    auto address = IpAddress::parse(rest_.addr);
    if (!address) return fail(address.error(), "rest.addr");
    options.listen = {*address, rest_.port};
    options.pages = &node_->transfers().local();
    options.socket = (std::filesystem::path(folders_.work_dir) / api::kSocketName).string();
    // Removes the socket of a daemon that ended without closing it; the lock on the folder shows that none runs.
    std::error_code error;
    if (std::filesystem::is_socket(options.socket, error)) std::filesystem::remove(options.socket, error);
    server_ = std::make_unique<api::Server>(runtime_, *network_, node_->root().handle(), std::move(options));
    server_->metrics().register_with(registry_);
    return server_->start();
  }

  /// Dials the bootstrap peers that are not connected, repeatedly: other peers are discovered through them.
  Task<void> bootstrap() {
    for (const auto& address : p2p_.bootstrap_peers) {
      const auto peer = libp2p::PeerAddress::parse(address);
      if (peer) (void)network_->host().connection_manager().protect(peer->peer, "bootstrap");
    }
    for (;;) {
      for (const auto& address : p2p_.bootstrap_peers) {
        auto connected = co_await with_timeout(kBootstrapTimeout, network_->connect(address));
        if (!connected) log::debug("daemon", "bootstrap peer {}: {}", address, connected.error().to_string());
      }
      const Result<void> slept = co_await sleep_for(kBootstrapPause);
      if (!slept) co_return;
    }
  }

  [[nodiscard]] std::string rest() const {
    return server_->has_port() ? "http://" + server_->local().to_string() : server_->socket();
  }

  void print_summary() {
    const auto list = [](const auto& items) {
      std::string text;
      for (const auto& item : items) text += (text.empty() ? "" : "\n             ") + std::string(item);
      return text.empty() ? std::string("-") : text;
    };
    std::vector<std::string> ready = executors_->types();
    std::erase_if(ready, [&](const std::string& type) { return !(*executors_->find(type))->ready(); });
    const std::string text = fmt::format(
        "nunet {}\n  peer id    {}\n  DID        {}\n  listens    {}\n  REST       {}\n  can run    {}\n  state "
        "     {}\n  offers     {}\nready\n{}",
        DMS_VERSION, network_->self().to_string(), capabilities_->did().uri(), list(network_->listen_addresses()),
        rest(), list(ready), folders_.work_dir, resources_->onboarded() ? resources_->onboarded()->to_string() : "-",
        options_.next.empty() ? "" : options_.next + "\n");
    // A closed standard output is not an error.
    (void)std::fwrite(text.data(), 1, text.size(), stdout);
    (void)std::fflush(stdout);
    log::info("daemon", "ready: {}", network_->self().to_string());
  }

  /// The metrics since the start, a line for each value.
  void log_metrics() const {
    if (!log::enabled(log::Level::debug)) return;
    std::istringstream text(registry_.snapshot().to_text());
    for (std::string line; std::getline(text, line);)
      if (!line.starts_with('#')) log::debug("metrics", "{}", line);
  }

  /// In reverse order, as far as it was started.
  Task<void> close() {
    co_await nursery_.close();
    if (book_) co_await book_->close();
    if (server_) co_await server_->close();
    if (node_) co_await node_->stop();
    if (executors_) co_await executors_->close();
    if (network_) co_await network_->close();
    if (store_) co_await store_->close();
  }

  Runtime runtime_;
  metrics::Registry& registry_;  ///< each module registers its metrics here
  cli::FolderSettings folders_;
  api::Settings rest_;
  network::Settings p2p_;
  executor::Settings executor_;
  executor::JobSettings jobs_;
  provider::Settings leases_;
  provider::PriceSettings prices_;
  node::LocationSettings location_;
  resources::ShareSettings share_;
  cli::RunOptions options_;
  std::string docker_socket_source_;
  json::Value shown_;  ///< the settings that other machines may see
  std::filesystem::path capabilities_file_;
  crypto::PrivateKey key_;
  RealProcesses processes_;
  std::shared_ptr<ucan::CapabilityContext> capabilities_;
  std::unique_ptr<db::AsyncStore> store_;
  std::unique_ptr<resources::Manager> resources_;
  std::unique_ptr<network::Libp2pNetwork> network_;
  std::unique_ptr<AddressBook> book_;
  std::unique_ptr<executor::Registry> executors_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<api::Server> server_;
  Nursery nursery_;
  Notify stop_;
  bool stopping_ = false;
};

bool has_terminal() {
  const int terminal = ::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (terminal >= 0) ::close(terminal);
  return terminal >= 0;
}

/// Whether the end of the terminal ends this daemon: it has one, and was not started by nohup.
bool ends_with_terminal() {
  struct sigaction before {};
  return ::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN && has_terminal();
}

}  // namespace

Result<resources::Machine> this_machine(const std::filesystem::path& folder) {
  const hardware::Options options = examined(folder);
  return resources::Machine{resources_of(hardware::discover(options)), resources_of(hardware::usage(options))};
}

Result<void> run_daemon(const config::Loaded& settings, const cli::RunOptions& options, crypto::PrivateKey key) {
  const auto folders = settings.section<cli::FolderSettings>();
  const std::filesystem::path work_dir = folders.work_dir;
  const std::filesystem::path user_dir = folders.user_dir;
  for (const auto& folder : {user_dir, work_dir, std::filesystem::path(folders.data_dir)})
    TRY_VOID(make_folder(folder));
  TRY(auto lock, cli::DaemonLock::take(work_dir));
  ignore_sigpipe();
  RealRuntime runtime;
  TRY(auto logging, start_logging(settings, runtime.runtime().lane));
  log_settings_warnings(settings);
  metrics::Registry registry;
  metrics::Group process_metrics;
  process_metrics.in(registry)
      .counter("nunet_log_lines_dropped_total", "Log lines that could not be written.",
               [&logging = *logging] { return logging.dropped(); })
      .counter("nunet_bugs_total", "Failed assertions after which the program continued.", assertion::failures);
  Daemon daemon(runtime.runtime(), registry, settings, options, user_dir / "cap" / (options.context + ".cap"),
                std::move(key));
  const bool in_terminal = ends_with_terminal();
  runtime.on_signal({SIGINT, SIGTERM, SIGHUP, SIGUSR1}, [&daemon, in_terminal](int signal) {
    const bool hung_up = signal == SIGHUP && in_terminal && !has_terminal();
    const bool ends = signal == SIGINT || signal == SIGTERM || hung_up;
    ends ? daemon.stop() : daemon.reload();
  });
  return runtime.run(daemon.run());
}

}  // namespace dms
