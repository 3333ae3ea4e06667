// One StepWorld call, or several in a row when a broken connection is resumed by itself.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "firstbyte/v1/world.grpc.pb.h"

namespace firstbyte {

// What to do when the connection breaks (kUnavailable) after the world was opened.
struct ResumePolicy {
  int attempts = 0;                                      // in a row; 0: the break is the end
  absl::Duration first_pause = absl::Milliseconds(100);  // doubled after each attempt
};

// One thread may read (Next, Finish) while others send; Cancel may come from any. Destroying an
// unfinished stream cancels it, and the server parks the session.
//
// After a resume Next() returns `opened` again, with a new token, and then the blocks that were
// made but never received. Actions that the server has not got, and what is sent during the break,
// are sent after it; a prompt or control that was under way when it came may be lost.
class WorldStream {
 public:
  ~WorldStream();

  // May block while the server has enough to do. kCancelled when the call is over: Finish() then
  // says why.
  absl::Status Act(const v1::Actions& actions);
  absl::Status Prompt(absl::string_view text);  // UTF-8, else kInvalidArgument
  absl::Status Control(v1::ControlKind kind);
  absl::Status GiveCredit(int blocks);
  absl::Status Send(const v1::StepWorldRequest& request);  // any message but `open`
  absl::Status EndInput();  // what is pending is played, then the world closes

  // Waits for the next message. False: there is none; call Finish().
  bool Next(v1::StepWorldResponse* response);
  // How the call ended. Call once, after Next() returned false.
  absl::Status Finish();

  void Cancel();

  int resumes() const;  // breaks that were mended

 private:
  friend class WorldClient;
  struct Call;

  WorldStream(std::shared_ptr<v1::WorldService::Stub> stub, v1::OpenWorld open,
              ResumePolicy resume);
  std::shared_ptr<Call> Start();
  void Note(const v1::StepWorldResponse& response);
  void NoteOpened(const v1::WorldOpened& opened);
  bool Reconnect();
  void SendMissed(const std::shared_ptr<Call>& call, int64_t last_action_sequence);
  std::shared_ptr<Call> call() const;

  const std::shared_ptr<v1::WorldService::Stub> stub_;
  const ResumePolicy resume_;

  // The reader's.
  v1::OpenWorld open_;  // of the next call: a ResumeOrigin once the world is open
  bool opened_ = false;
  int attempts_left_ = 0;
  absl::Duration pause_;
  absl::Status status_;  // of the last call
  bool finished_ = false;

  mutable Mutex mu_;
  CondVar changed_;
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mu_);
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // from the end of a call until the next is open
  // Kept only if there may be a resume: actions that no block has shown, what to send after a
  // break.
  std::deque<v1::StepWorldRequest> unapplied_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::StepWorldRequest> missed_ ABSL_GUARDED_BY(mu_);
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mu_) = false;
  int resumes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace firstbyte
