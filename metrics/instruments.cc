#include "metrics/instruments.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace firstbyte {
namespace {

using Buckets = std::vector<double>;
using Kind = Instrument::Kind;

// A bound lies on each threshold that a service level is likely to name; no such bound is a whole
// number, because Prometheus 3 writes le="1" as le="1.0" and rules that match the text break.
const Buckets& LatencyBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.001, .002, .003, .005, .0075, .01, .02, .03, .05, .075, .1,
                  .15,  .2,   .25,  .3,   .4,    .5,  .75, 1,   1.5, 2.5,  5};
  return *kBuckets;
}
const Buckets& PhaseBuckets() {
  static const Buckets* const kBuckets = new Buckets{
      .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
  return *kBuckets;
}
const Buckets& StepBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.00005, .0001, .00025, .0005, .001, .0015, .002, .003, .005,
                  .0075,  .01,   .015,   .02,   .03,  .05,   .1,   .25,  1};
  return *kBuckets;
}
const Buckets& RatioBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.005, .01, .02, .03, .05, .075, .1,   .15, .2, .3, .4,
                  .5,   .6,  .75, .9,  1,   1.1,  1.25, 1.5, 2,  4};
  return *kBuckets;
}
const Buckets& DurationBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600};
  return *kBuckets;
}
const Buckets& BatchBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128};
  return *kBuckets;
}
const Buckets& LeadBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{0, .02, .05, .1, .2, .35, .5, .75, 1, 1.5, 2, 3, 4, 6, 10};
  return *kBuckets;
}
const Buckets& IntervalBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.005, .01, .02, .04, .06, .08, .1, .15, .2, .3, .5, .75, 1, 2, 5};
  return *kBuckets;
}

// Fine around one and two periods of 20 and 60 frames a second.
const Buckets& PlayBuckets() {
  static const Buckets* const kBuckets =
      new Buckets{.001, .002, .003, .005, .0075, .01, .015, .02, .025, .03, .037, .045,
                  .055, .065, .08,  .1,   .15,   .2,  .3,   .5,  .75,  1,   2.5};
  return *kBuckets;
}

std::vector<Instrument> RequestInstruments() {
  return {
      {"firstbyte_requests_total",
       Kind::kCounter,
       {"method", "model", "code"},
       {},
       "Requests that ended, by gRPC status code. model is \"none\" where none was resolved."},
      {"firstbyte_requests_rejected_total",
       Kind::kCounter,
       {"method", "reason"},
       {},
       "Requests refused at admission, by the reason of their ErrorInfo."},
      {"firstbyte_requests_cancelled_total",
       Kind::kCounter,
       {"method", "stage"},
       {},
       "Requests that the client cancelled or left, by what they had reached: before_audio, "
       "speaking; worlds, which are parked then: before_block, playing."},
      {"firstbyte_streams_in_flight",
       Kind::kGauge,
       {"method", "model"},
       {},
       "Streams admitted and not yet ended."},
      {"firstbyte_request_ttfb_seconds",
       Kind::kHistogram,
       {"method", "model"},
       LatencyBuckets(),
       "From the later of stream admitted and first clause complete to the first media byte "
       "handed to the transport. Worlds: from `open`."},
  };
}

std::vector<Instrument> PhaseInstruments() {
  return {
      {"firstbyte_request_model_load_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "Waiting for the model to be loaded; 0 when it was resident."},
      {"firstbyte_request_queue_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "From the first complete clause of an admitted stream to the first step that worked on it."},
      {"firstbyte_request_prefill_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "Wall time of the text front end (a world: picture and prompt) and of the prefill steps "
       "this request took part in."},
      {"firstbyte_request_generation_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "Wall time of the generate steps this request took part in."},
      {"firstbyte_request_decode_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "Wall time of the decode steps (vocoder, pictures) this request took part in."},
      {"firstbyte_request_encode_seconds",
       Kind::kHistogram,
       {"method", "model"},
       PhaseBuckets(),
       "Time spent coding this request's media for the wire."},
      {"firstbyte_request_duration_seconds",
       Kind::kHistogram,
       {"method", "model"},
       DurationBuckets(),
       "From admission to the end of the request."},
      {"firstbyte_request_realtime_factor_ratio",
       Kind::kHistogram,
       {"method", "model"},
       RatioBuckets(),
       "(First step to last step, less time paused for lead, room or missing text) / audio "
       "duration. Below 1 is faster than real time."},
  };
}

std::vector<Instrument> EngineInstruments() {
  return {
      {"firstbyte_step_seconds",
       Kind::kHistogram,
       {"stage", "model"},
       StepBuckets(),
       "Wall time of one step of a stage over a batch."},
      {"firstbyte_batch_size",
       Kind::kHistogram,
       {"stage", "model"},
       BatchBuckets(),
       "Sessions in one step."},
      {"firstbyte_last_step_timestamp_seconds",
       Kind::kGauge,
       {"model"},
       {},
       "Unix time of the end of the last step; 0 before the first."},
      {"firstbyte_frames_total",
       Kind::kCounter,
       {"model"},
       {},
       "Frames generated: the unit of a voice's acoustic model, pictures of a world."},
      {"firstbyte_audio_seconds_total",
       Kind::kCounter,
       {"model"},
       {},
       "Audio handed to streams, as played."},
      {"firstbyte_chunk_lead_seconds",
       Kind::kHistogram,
       {"model"},
       LeadBuckets(),
       "Audio sent less audio played, just before a chunk is sent. Play starts when the first "
       "write is done, stops while there is nothing to play, and never catches up."},
      {"firstbyte_chunk_interval_seconds",
       Kind::kHistogram,
       {"model"},
       IntervalBuckets(),
       "Time between two audio messages of a stream."},
      {"firstbyte_stream_underruns_total",
       Kind::kCounter,
       {"model"},
       {},
       "Times a listener ran dry while the session had text to speak."},
      {"firstbyte_stream_starved_total",
       Kind::kCounter,
       {"model"},
       {},
       "Times a listener ran dry because the client had sent no more text."},
      {"firstbyte_slow_consumers_total",
       Kind::kCounter,
       {"model"},
       {},
       "Times a session had to wait because its client did not read: the outbox was full."},
      {"firstbyte_text_characters_total",
       Kind::kCounter,
       {"model"},
       {},
       "Characters of text in streams that ended."},
  };
}

std::vector<Instrument> WorldInstruments() {
  return {
      {"firstbyte_action_to_frame_seconds",
       Kind::kHistogram,
       {"model"},
       PlayBuckets(),
       "From the arrival of an actions message to the first block that it shapes being handed to "
       "the transport."},
      {"firstbyte_blocks_total", Kind::kCounter, {"model"}, {}, "Blocks made and coded."},
      {"firstbyte_late_blocks_total",
       Kind::kCounter,
       {"model"},
       {},
       "REALTIME blocks that were ready to send after their time, for a player who shows each one "
       "period after it could have been there at the earliest. A late one moves that player's "
       "clock, so that each delay counts once; what the network adds is not in it."},
      {"firstbyte_skipped_blocks_total",
       Kind::kCounter,
       {"model"},
       {},
       "REALTIME blocks that were never made because their time passed before they could begin."},
      {"firstbyte_world_sessions",
       Kind::kGauge,
       {"state"},
       {},
       "World sessions: running (a stream plays it), paused (a stream holds it), parked (its state "
       "waits without a slot)."},
      {"firstbyte_world_store_bytes",
       Kind::kGauge,
       {"kind"},
       {},
       "Bytes of parked sessions and of snapshots that this server keeps."},
  };
}

std::vector<Instrument> ServerInstruments() {
  return {
      {"firstbyte_slots_used", Kind::kGauge, {"model"}, {}, "Slots that hold a session."},
      {"firstbyte_slots", Kind::kGauge, {"model"}, {}, "Slots there are."},
      {"firstbyte_model_resident",
       Kind::kGauge,
       {"model"},
       {},
       "1 when the model is loaded; 0 for a lazy one that no request has needed yet, and for one "
       "that was unloaded."},
      {"firstbyte_lane_load_ratio",
       Kind::kGauge,
       {"lane"},
       {},
       "Share of the lane's time that its sessions need to keep their pace, by their measured "
       "cost: what admission compares with its limit."},
      {"firstbyte_outbox_bytes",
       Kind::kGauge,
       {},
       {},
       "Encoded media waiting for the transport, all streams."},
      {"firstbyte_ready",
       Kind::kGauge,
       {},
       {},
       "1 while health says SERVING: models warm, but for lazy ones, and not draining."},
      {"firstbyte_draining",
       Kind::kGauge,
       {},
       {},
       "1 while running streams are finished and new ones refused."},
      {"firstbyte_build_info",
       Kind::kGauge,
       {"version", "isa"},
       {},
       "Always 1; its labels say what is running. isa is the instruction set of the CPU kernels."},
  };
}

// Only where there are GPUs: no series otherwise.
std::vector<Instrument> GpuInstruments() {
  const std::vector<absl::string_view> labels = {"gpu", "uuid"};
  return {
      {"firstbyte_gpu_utilization_ratio",
       Kind::kGauge,
       labels,
       {},
       "Share of time in which some kernel ran on the GPU, by NVML."},
      {"firstbyte_gpu_memory_used_bytes",
       Kind::kGauge,
       labels,
       {},
       "Memory of the GPU in use, by whichever process."},
      {"firstbyte_gpu_memory_bytes", Kind::kGauge, labels, {}, "Memory that the GPU has."},
      {"firstbyte_gpu_temperature_celsius", Kind::kGauge, labels, {}, "Temperature of the GPU."},
      {"firstbyte_gpu_power_watts", Kind::kGauge, labels, {}, "Power that the GPU draws."},
      {"firstbyte_gpu_sm_clock_hertz",
       Kind::kGauge,
       labels,
       {},
       "Clock of the GPU's multiprocessors."},
  };
}

// Named and defined as every Prometheus client library does, but for the heap, which none has.
std::vector<Instrument> ProcessInstruments() {
  return {
      {"process_cpu_seconds_total", Kind::kCounter, {}, {}, "CPU time used, user and system."},
      {"process_resident_memory_bytes", Kind::kGauge, {}, {}, "Memory in use, without swap."},
      {"firstbyte_heap_bytes", Kind::kGauge, {}, {}, "Memory allocated and not yet freed."},
      {"process_threads", Kind::kGauge, {}, {}, "Threads of the process."},
      {"process_open_fds", Kind::kGauge, {}, {}, "Open files and sockets."},
      {"process_start_time_seconds", Kind::kGauge, {}, {}, "Unix time of the start."},
  };
}

absl::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kCounter:
      return "counter";
    case Kind::kGauge:
      return "gauge";
    case Kind::kHistogram:
      return "histogram";
  }
  return "";
}

}  // namespace

absl::Span<const Instrument> Instruments() {
  static const auto* const kTable = [] {
    auto* table = new std::vector<Instrument>(RequestInstruments());
    for (const auto& part : {PhaseInstruments(), EngineInstruments(), WorldInstruments(),
                             ServerInstruments(), GpuInstruments(), ProcessInstruments()}) {
      table->insert(table->end(), part.begin(), part.end());
    }
    return table;
  }();
  return *kTable;
}

std::string InstrumentsAsMarkdown() {
  std::string page =
      "# Metrics\n\n"
      "What `/metrics` exports. This page is printed by `metrics_doc` from the table in\n"
      "`metrics/instruments.cc`; a test keeps the two equal. Durations come from the monotonic\n"
      "clock of one process. Series of known label values exist from the start, with 0. The four\n"
      "`exposer_*` series on the same page are prometheus-cpp's own, about the scrape itself. The\n"
      "`firstbyte_gpu_*` series come from NVIDIA's NVML, opened at run time (`--nvml-library`,\n"
      "default `libnvidia-ml.so.1`; `off`: none), read at most once a second, when scraped; there "
      "are\n"
      "none without the library. What a GPU does not tell is NaN.\n\n"
      "| name | type | labels | definition |\n|---|---|---|---|\n";
  for (const Instrument& row : Instruments()) {
    absl::StrAppend(&page, "| `", row.name, "` | ", KindName(row.kind), " | ",
                    absl::StrJoin(row.labels, ", "), " | ", row.help, " |\n");
  }
  absl::StrAppend(&page, "\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n");
  for (const Instrument& row : Instruments()) {
    if (row.kind != Kind::kHistogram) continue;
    absl::StrAppend(&page, "| `", row.name, "` | ", absl::StrJoin(row.buckets, " "), " |\n");
  }
  return page;
}

}  // namespace firstbyte
