#include "server/rpc/admin_files.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/trace_json.h"
#include "grpcpp/alarm.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/refusal.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kDefaultCapture = absl::Seconds(1);
constexpr absl::Duration kMinCapture = absl::Milliseconds(1);
constexpr absl::Duration kMaxCapture = absl::Seconds(60);
constexpr size_t kPiece = (1 << 20) - (8 << 10);  // a writer may end a line later

// Sends what NextPiece() returns until that is empty. Every step starts the next, so nothing runs
// at the same time as anything else. Deletes itself.
template <typename Response>
class FileCall : public grpc::ServerWriteReactor<Response> {
 public:
  explicit FileCall(grpc::CallbackServerContext* rpc) : rpc_(rpc) {}

  void OnWriteDone(bool ok) override { ok ? SendNext() : End(absl::OkStatus()); }
  void OnDone() override { delete this; }

 protected:
  void SendNext() {
    std::string piece = NextPiece();
    if (piece.empty()) return End(absl::OkStatus());
    message_.set_data(std::move(piece));
    this->StartWrite(&message_);
  }
  void End(const absl::Status& status) {
    AddTrailers(status, RequestIdOf(*rpc_), rpc_);
    this->Finish(ToGrpcStatus(status));
  }

 private:
  virtual std::string NextPiece() = 0;

  grpc::CallbackServerContext* const rpc_;
  Response message_;  // belongs to gRPC while it is written
};

// The alarm rings once, when it is time or when the call is cancelled, and all else follows from
// it.
class CaptureCall : public FileCall<v1::CaptureTraceResponse> {
 public:
  CaptureCall(Tracer* tracer, grpc::CallbackServerContext* rpc) : FileCall(rpc), tracer_(*tracer) {}

  void Start(absl::Duration duration) {
    end_.Set(absl::ToChronoTime(absl::Now() + duration), [this](bool expired) { Stop(expired); });
  }
  void OnCancel() override { end_.Cancel(); }

 private:
  void Stop(bool expired) {
    Tracer::Capture capture = tracer_.Stop();
    if (!expired) {
      return End(Error(absl::StatusCode::kCancelled, "CANCELLED", "the client went away"));
    }
    json_.emplace(std::move(capture));
    SendNext();
  }
  std::string NextPiece() override { return json_->Next(kPiece); }

  Tracer& tracer_;
  grpc::Alarm end_;
  std::optional<TraceJson> json_;
};

class DumpCall : public FileCall<v1::DumpFlightResponse> {
 public:
  DumpCall(const std::deque<FlightRecorder>& flights, grpc::CallbackServerContext* rpc)
      : FileCall(rpc), flights_(flights) {}

  void Start() { SendNext(); }

 private:
  std::string NextPiece() override {
    while (sent_ == text_.size() && next_ < flights_.size()) {
      text_ = ToText(flights_[next_++].Take());
      sent_ = 0;
    }
    std::string piece = text_.substr(sent_, kPiece);
    sent_ += piece.size();
    return piece;
  }

  const std::deque<FlightRecorder>& flights_;
  size_t next_ = 0;  // recorder
  std::string text_;
  size_t sent_ = 0;
};

}  // namespace

grpc::ServerWriteReactor<v1::CaptureTraceResponse>* StartCapture(
    Tracer* tracer, const v1::CaptureTraceRequest& request, grpc::CallbackServerContext* rpc) {
  absl::StatusOr<absl::Duration> duration = kDefaultCapture;
  if (request.has_capture_duration()) {
    duration = ToDuration(request.capture_duration(), kMinCapture, kMaxCapture, "capture_duration");
  }
  absl::Status status = duration.status();
  if (status.ok() && !tracer->Start()) {
    status = Error(absl::StatusCode::kFailedPrecondition, "CAPTURE_RUNNING",
                   "another trace is being captured; there is one at a time");
  }
  if (!status.ok()) {
    return new Refusal<grpc::ServerWriteReactor<v1::CaptureTraceResponse>>(status, rpc);
  }
  auto* call = new CaptureCall(tracer, rpc);
  call->Start(*duration);
  return call;
}

grpc::ServerWriteReactor<v1::DumpFlightResponse>* StartDump(
    const std::deque<FlightRecorder>& flights, grpc::CallbackServerContext* rpc) {
  if (flights.empty()) {
    return new Refusal<grpc::ServerWriteReactor<v1::DumpFlightResponse>>(
        Error(absl::StatusCode::kFailedPrecondition, "NOT_RECORDING",
              "the flight recorder is off (--flight-mib 0)"),
        rpc);
  }
  auto* call = new DumpCall(flights, rpc);
  call->Start();
  return call;
}

}  // namespace firstbyte
