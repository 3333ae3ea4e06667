// firstbyted: the composition root. Everything it does is in this file's order.
//
// Exit codes: 0 drained after SIGTERM or SIGINT; 1 could not start; 2 bad command line or
// configuration; 3 the device was lost or a lane stalled.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/time/clock.h"
#include "base/cores.h"
#include "base/log.h"
#include "base/thread.h"
#include "model/kernels/isa.h"
#include "nlohmann/json.hpp"
#include "server/config/config.h"
#include "server/config/version.h"
#include "server/device.h"
#include "server/models.h"
#include "server/rpc/host.h"
#include "server/stop_signal.h"

namespace firstbyte {
namespace {

// For streams whose device is gone to read what became of them.
constexpr absl::Duration kLastWords = absl::Seconds(1);

// So that who answers a call need not wait for the rest of a step: a refusal takes a dozen hops
// from thread to thread and client to server, each of which could.
constexpr absl::Duration kTurn = absl::Microseconds(100);

constexpr int kMostLanes = 64;  // also of a machine with more cores

enum ExitCode { kDrained = 0, kNotStarted = 1, kBadConfig = 2, kDeviceLost = 3 };

int Fail(ExitCode code, const absl::Status& status) {
  std::cerr << "firstbyted: " << status.message() << "\n";
  return code;
}

HostOptions OptionsOf(const Config& config, std::atomic<bool>* device_lost) {
  HostOptions options;
  options.listen = config.listen;
  options.metrics_listen = config.metrics_listen;
  options.admin_listen = config.admin_listen;
  options.flight = {.max_bytes = int64_t{config.flight_mib} << 20,
                    .inputs = config.flight_inputs == "on"};
  options.flight_dir = config.flight_dir;
  options.on_drain_asked = [] { StopSignal::Raise(); };
  options.nvml_library = config.nvml_library;
  options.default_max_lead = config.max_lead;
  options.build = {.version = kVersion,
                   .isa = std::string(kernels::IsaName(kernels::PreferredIsa()))};
  options.max_world_duration = config.max_world_duration;
  options.max_calls = config.max_calls;
  options.slow_consumer_timeout = config.slow_consumer_timeout;
  options.max_world_idle = config.world_idle_timeout;
  options.worlds = {.token_secret = config.token_secret,
                    .snapshot_dir = config.snapshot_dir,
                    .park_timeout = config.park_timeout,
                    .max_parked_bytes = int64_t{config.max_parked_mib} << 20,
                    .max_parked_sessions = config.max_parked_sessions,
                    .max_snapshot_bytes = int64_t{config.max_snapshot_mib} << 20};
  options.lane.policy.ttfb_target = config.ttfb_target;
  options.lane.policy.max_step = config.max_step;
  options.admission = {.max_load = config.max_load_percent / 100.0,
                       .max_catching_up = config.max_catching_up_percent / 100.0,
                       .max_ttfb = config.max_ttfb,
                       .max_streams_per_tenant = config.max_streams_per_tenant,
                       .max_bytes = int64_t{config.max_stream_mib} << 20};
  options.lane.idle_timeout = config.idle_timeout;
  options.lane.stall_timeout = config.stall_timeout;
  options.lane.on_device_lost = [device_lost](const absl::Status& status) {
    LogError("device_lost", {{"status", status.ToString()}});
    *device_lost = true;
    StopSignal::Raise();
  };
  return options;
}

int Run(const Config& config, const std::optional<cuda::GpuOptions>& gpus,
        const std::string& binary) {
  const absl::Time begin = absl::Now();
  StopSignal stop;
  RouteGrpcLogs();
  std::atomic<bool> device_lost = false;
  absl::StatusOr<std::unique_ptr<Host>> host = Host::Listen(OptionsOf(config, &device_lost));
  if (!host.ok()) return Fail(kNotStarted, host.status());
  auto models = OpenModels(config, gpus, binary);
  if (!models.ok()) return Fail(kNotStarted, models.status());
  absl::Status serving =
      (*host)->Serve(std::move(models->lanes), std::move(models->lazy), std::move(models->sources));
  if (!serving.ok()) return Fail(kNotStarted, serving);
  LogInfo("ready", {{"version", kVersion},
                    {"listen", config.listen},
                    {"port", (*host)->port()},
                    {"metrics_port", (*host)->metrics_port()},
                    {"admin_port", (*host)->admin_port()},
                    {"lanes", (*host)->engine().lanes()},
                    {"seconds", absl::ToDoubleSeconds(absl::Now() - begin)}});

  const int signal = stop.Wait();
  LogInfo("draining", {{"signal", signal}, {"streams", (*host)->live_calls().count()}});
  if (device_lost) {
    (*host)->Drain(absl::ZeroDuration(), std::min(kLastWords, config.drain_timeout));
  } else {
    (*host)->Drain(config.lame_duck, config.drain_timeout);
  }
  LogInfo("drained", {});
  if ((*host)->engine().stalled()) std::_Exit(kDeviceLost);  // its thread cannot be joined
  return device_lost ? kDeviceLost : kDrained;
}

int LanesFor(const std::optional<cuda::GpuOptions>& gpus) {
  const int places = gpus ? static_cast<int>(gpus->gpus.size()) : UsableCores();
  return std::min(places, kMostLanes);
}

int Main(int argc, char** argv) {
  absl::StatusOr<Launch> launch = ParseCommandLine(argc, argv);
  if (!launch.ok()) return Fail(kBadConfig, launch.status());
  if (!launch->answer.empty()) {
    std::cout << launch->answer << std::endl;
    return 0;
  }
  SetThisThreadsTurn(kTurn);
  Config& config = launch->config;
  absl::Status log = ConfigureLog(config.log_format == "json" ? LogFormat::kJson : LogFormat::kText,
                                  config.log_level);
  if (!log.ok()) return Fail(kBadConfig, log);
  std::error_code error;
  const std::string binary = std::filesystem::read_symlink("/proc/self/exe", error).string();
  const absl::StatusOr<std::optional<cuda::GpuOptions>> gpus = FindGpus(config, binary);
  if (!gpus.ok()) return Fail(kBadConfig, gpus.status());
  if (config.lanes == 0) config.lanes = LanesFor(*gpus);
  return Run(config, *gpus, binary);
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }
