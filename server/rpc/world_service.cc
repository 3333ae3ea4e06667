#include "server/rpc/world_service.h"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/refusal.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/tenant.h"
#include "server/rpc/world_convert.h"
#include "server/stream/world_stream.h"

namespace firstbyte {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;

class StepWorldCall : public BidiCall<WorldStream, v1::StepWorldRequest, v1::StepWorldResponse> {
 public:
  StepWorldCall(LiveCalls* live, grpc::CallbackServerContext* rpc, std::string tenant)
      : BidiCall(live, rpc), tenant_(std::move(tenant)) {}

 private:
  absl::Status Take(v1::StepWorldRequest message) override {
    absl::StatusOr<WorldRequest> request = FromProto(std::move(message));
    if (!request.ok()) return request.status();
    if (auto* open = std::get_if<OpenWorld>(&*request)) {
      open->tenant = tenant_;
      open->time_left = time_left();
      if (open->request_id.empty()) open->request_id = request_id();
    }
    stream()->Handle(*std::move(request));
    return absl::OkStatus();
  }

  const std::string tenant_;
};

// A unary call that the store answers.
class Question {
 public:
  Question(LiveCalls* live_calls, grpc::CallbackServerContext* rpc)
      : live_(std::make_shared<LiveCalls::Ticket>(live_calls)),
        rpc_(rpc),
        reactor_(rpc->DefaultReactor()) {}

  grpc::ServerUnaryReactor* reactor() const { return reactor_; }

  void Answer(const absl::Status& status) const {
    AddTrailers(status, RequestIdOf(*rpc_), rpc_);
    reactor_->Finish(ToGrpcStatus(status));
  }

 private:
  std::shared_ptr<LiveCalls::Ticket> live_;
  grpc::CallbackServerContext* rpc_;
  grpc::ServerUnaryReactor* reactor_;
};

// The tenant, or why the call is refused at once.
absl::StatusOr<std::string> Admit(const StreamContext* context,
                                  const grpc::CallbackServerContext& rpc) {
  if (!context) return Starting();
  return TenantOf(rpc);
}

// Before anything of the call is read.
absl::Status Refuse(const absl::Status& status, const StreamContext& context,
                    const grpc::CallbackServerContext& rpc) {
  WorldRecord record;
  record.end.status = status;
  record.end.request_id = RequestIdOf(rpc);
  record.traceparent = TraceparentOf(rpc);
  context.observer->OnWorldEnded(record);
  return record.end.status;
}

// A page ends after the session that its token names by time and id, whether it still exists or
// not.
struct PageStart {
  absl::Time open_time = absl::InfinitePast();
  std::string session_id;
};

std::string ToToken(const WorldSessionInfo& last) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(absl::ToUnixNanos(last.open_time), ",", last.session_id));
}

absl::StatusOr<PageStart> FromToken(const std::string& token) {
  PageStart start;
  std::string text;
  int64_t nanos = 0;
  if (token.empty()) return start;
  const bool decoded = absl::WebSafeBase64Unescape(token, &text);
  const size_t comma = text.find(',');
  if (!decoded || comma == std::string::npos ||
      !absl::SimpleAtoi(absl::string_view(text).substr(0, comma), &nanos)) {
    return Invalid("BAD_PAGE_TOKEN", "is not a next_page_token of this server", "page_token");
  }
  start.open_time = absl::FromUnixNanos(nanos);
  start.session_id = text.substr(comma + 1);
  return start;
}

void FillPage(const std::vector<WorldSessionInfo>& sessions, const PageStart& start, int size,
              v1::ListSessionsResponse* response) {
  auto first = std::find_if(sessions.begin(), sessions.end(), [&](const auto& info) {
    // As the token has it: whole nanoseconds.
    const absl::Time opened = absl::FromUnixNanos(absl::ToUnixNanos(info.open_time));
    return std::tie(opened, info.session_id) > std::tie(start.open_time, start.session_id);
  });
  auto last = first + std::min<ptrdiff_t>(size, sessions.end() - first);
  for (auto at = first; at != last; ++at) FillSession(*at, response->add_sessions());
  if (last != sessions.end()) response->set_next_page_token(ToToken(*(last - 1)));
}

}  // namespace

BidiReactor* WorldService::StepWorld(grpc::CallbackServerContext* rpc) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) return new Refusal<BidiReactor>(tenant.status(), rpc);
  const bool draining = context->engine->admission().draining();
  if (draining || live_calls_->count() >= context->max_calls) {
    const absl::Status why = draining ? DrainingError() : TooManyCalls();
    return new Refusal<BidiReactor>(Refuse(why, *context, *rpc), rpc);
  }
  auto call = std::make_shared<StepWorldCall>(live_calls_, rpc, *std::move(tenant));
  call->Open(*context,
             [&](auto transport) { return WorldStream::Create(*context, std::move(transport)); });
  call->ExpectMessageWithin(first_message_timeout_,
                            Error(absl::StatusCode::kDeadlineExceeded, "OPEN_TIMEOUT",
                                  "`open` did not come in time", "open"));
  call->WakeReader();
  return call.get();
}

grpc::ServerUnaryReactor* WorldService::ListWorlds(grpc::CallbackServerContext* rpc,
                                                   const v1::ListWorldsRequest*,
                                                   v1::ListWorldsResponse* response) {
  const StreamContext* context = context_;
  if (!context) return Answer(Starting(), rpc);
  FillWorlds(context->engine->models(), response);
  return Answer(absl::OkStatus(), rpc);
}

grpc::ServerUnaryReactor* WorldService::GetSession(grpc::CallbackServerContext* rpc,
                                                   const v1::GetSessionRequest* request,
                                                   v1::GetSessionResponse* response) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) return Answer(tenant.status(), rpc);
  Question question(live_calls_, rpc);
  context->worlds->Get(*tenant, request->session_id(),
                       [question, response](absl::StatusOr<WorldSessionInfo> info) {
                         if (info.ok()) FillSession(*info, response->mutable_session());
                         question.Answer(info.status());
                       });
  return question.reactor();
}

grpc::ServerUnaryReactor* WorldService::ListSessions(grpc::CallbackServerContext* rpc,
                                                     const v1::ListSessionsRequest* request,
                                                     v1::ListSessionsResponse* response) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) return Answer(tenant.status(), rpc);
  if (request->page_size() < 0 || request->page_size() > kMaxPage) {
    return Answer(BadField("page_size", absl::StrCat("must be 0 to ", kMaxPage)), rpc);
  }
  absl::StatusOr<PageStart> start = FromToken(request->page_token());
  if (!start.ok()) return Answer(start.status(), rpc);
  const int size = request->page_size() == 0 ? kDefaultPage : request->page_size();
  Question question(live_calls_, rpc);
  context->worlds->List(*tenant, [question, response, start = *start,
                                  size](absl::StatusOr<std::vector<WorldSessionInfo>> sessions) {
    if (sessions.ok()) FillPage(*sessions, start, size, response);
    question.Answer(sessions.status());
  });
  return question.reactor();
}

grpc::ServerUnaryReactor* WorldService::DeleteSession(grpc::CallbackServerContext* rpc,
                                                      const v1::DeleteSessionRequest* request,
                                                      v1::DeleteSessionResponse*) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) return Answer(tenant.status(), rpc);
  Question question(live_calls_, rpc);
  context->worlds->Delete(*tenant, request->session_id(),
                          [question](absl::Status status) { question.Answer(status); });
  return question.reactor();
}

grpc::ServerWriteReactor<v1::ExportSnapshotResponse>* WorldService::ExportSnapshot(
    grpc::CallbackServerContext* rpc, const v1::ExportSnapshotRequest* request) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) {
    return new Refusal<grpc::ServerWriteReactor<v1::ExportSnapshotResponse>>(tenant.status(), rpc);
  }
  return StartExport({*std::move(tenant), rpc, context->worlds, live_calls_, &transfers_},
                     request->snapshot_id());
}

grpc::ServerReadReactor<v1::ImportSnapshotRequest>* WorldService::ImportSnapshot(
    grpc::CallbackServerContext* rpc, v1::ImportSnapshotResponse* response) {
  const StreamContext* context = context_;
  absl::StatusOr<std::string> tenant = Admit(context, *rpc);
  if (!tenant.ok()) {
    return new Refusal<grpc::ServerReadReactor<v1::ImportSnapshotRequest>>(tenant.status(), rpc);
  }
  return StartImport({*std::move(tenant), rpc, context->worlds, live_calls_, &transfers_},
                     response);
}

}  // namespace firstbyte
