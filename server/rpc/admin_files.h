// The answers of AdminService that are files, sent piece by piece as the client takes them.
#pragma once

#include <deque>

#include "base/trace.h"
#include "firstbyte/v1/admin.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/scheduler/flight_recorder.h"

namespace firstbyte {

// Records for as long as was asked and sends the trace. A client that goes away ends it at once.
// kInvalidArgument OUT_OF_RANGE, kFailedPrecondition CAPTURE_RUNNING: one at a time.
grpc::ServerWriteReactor<v1::CaptureTraceResponse>* StartCapture(
    Tracer* tracer, const v1::CaptureTraceRequest& request, grpc::CallbackServerContext* rpc);

// Sends what the recorders hold now. kFailedPrecondition NOT_RECORDING when there are none.
grpc::ServerWriteReactor<v1::DumpFlightResponse>* StartDump(
    const std::deque<FlightRecorder>& flights, grpc::CallbackServerContext* rpc);

}  // namespace firstbyte
