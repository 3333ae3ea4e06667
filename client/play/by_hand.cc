#include "client/play/by_hand.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <sys/eventfd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "client/proto_time.h"
#include "client/utf8.h"

namespace firstbyte {
namespace {

constexpr int kFewRows = 12;                                  // then the keys are not shown
constexpr absl::Duration kRefresh = absl::Milliseconds(500);  // of the status line
constexpr size_t kMaxPromptBytes = 4096;                      // as the server takes
constexpr char kHelp[] = "p prompt, c save, r reset, q quit, Q leave it waiting";

absl::Time Now() { return Clock::Steady().Now(); }

// At most `columns` characters of `text`.
std::string Cut(const std::string& text, int columns) {
  std::string cut;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && columns-- <= 0) break;
    cut += text[i];
  }
  return cut;
}

// What a notice means to a player; empty: nothing new.
std::string Describe(const v1::StepWorldResponse& response) {
  if (response.has_snapshot()) return absl::StrCat("saved as ", response.snapshot().snapshot_id());
  if (!response.has_notice()) return "";
  switch (response.notice().kind()) {
    case v1::NOTICE_KIND_DRAINING:
    case v1::NOTICE_KIND_PAUSED:
      return response.notice().message();
    default:
      return "";
  }
}

bool SameDeed(const v1::Actions& a, const v1::Actions& b) {
  return a.pointer_dx() == b.pointer_dx() &&
         std::equal(a.keys().begin(), a.keys().end(), b.keys().begin(), b.keys().end());
}

}  // namespace

ByHand::ByHand(Options options, WorldStream* stream, Show* show, PlayFigures* figures)
    : options_(std::move(options)),
      stream_(stream),
      show_(show),
      figures_(figures),
      model_(show->opened().model()),
      help_(absl::StrCat(kHelp, " | ",
                         DescribeBindings(BindKeys(show->opened().action_vocabulary())))),
      held_(BindKeys(show->opened().action_vocabulary())),
      screen_(options_.colours),
      sequence_(show->opened().last_action_sequence()),
      prompt_(options_.prompt),
      deed_(options_.lockstep),  // so that there is something to see
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

ByHand::~ByHand() {
  if (reader_.joinable()) {
    stream_->Cancel();
    reader_.join();
  }
  close(wake_fd_);
}

void ByHand::Wake() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void ByHand::Stop() {
  stopped_ = true;
  Wake();
}

void ByHand::ReadStream() {
  v1::StepWorldResponse response;
  while (stream_->Next(&response)) {
    absl::Status status = show_->Take(response);
    if (response.has_block() && !options_.lockstep) stream_->GiveCredit(1).IgnoreError();
    MutexLock lock(&mu_);
    if (response.has_block()) {
      newest_ = show_->frame();
      fresh_ = true;
    }
    if (std::string message = Describe(response); !message.empty()) message_ = message;
    if (response.has_opened()) message_ = "connected again";
    if (status_.ok() && !status.ok()) {
      status_ = status;
      stream_->Cancel();
    }
    Wake();
  }
  MutexLock lock(&mu_);
  over_ = true;
  Wake();
}

absl::Status ByHand::Run(Terminal* terminal, HandEnd* end) {
  reader_ = std::thread([this] { ReadStream(); });
  while (!leaving_ && !stopped_ && !terminal->gone()) {
    pollfd fds[] = {{.fd = terminal->input_fd(), .events = POLLIN},
                    {.fd = wake_fd_, .events = POLLIN}};
    if (poll(fds, 2, PollTimeoutMs()) < 0) continue;
    if ((fds[0].revents & (POLLHUP | POLLERR)) != 0) break;
    if (fds[0].revents != 0) {
      for (const Keystroke& stroke : keys_.Read(terminal->Read())) Type(stroke);
    }
    uint64_t wakes = 0;
    [[maybe_unused]] ssize_t size = read(wake_fd_, &wakes, sizeof(wakes));
    bool fresh = false, over = false;
    {
      MutexLock lock(&mu_);
      fresh = fresh_;
      over = over_;
    }
    SendActions(fresh);
    Draw(terminal);
    if (over) {
      end_ = HandEnd::kOver;
      break;
    }
  }
  *end = end_;
  MutexLock lock(&mu_);
  return status_;
}

absl::Status ByHand::Join() {
  reader_.join();
  MutexLock lock(&mu_);
  return status_;
}

int ByHand::PollTimeoutMs() const {
  const absl::Duration wait = std::min(kRefresh, held_.NextChange() - Now());
  return std::max(0, static_cast<int>(absl::ToInt64Milliseconds(wait)) + 1);
}

void ByHand::Type(const Keystroke& stroke) {
  if (editing_) return EditPrompt(stroke);
  if (held_.Feed(stroke, Now())) {
    deed_ = deed_ || !stroke.released;
    return;
  }
  if (stroke.released) return;
  if (stroke.key == "q" || stroke.key == "Q") {
    leaving_ = true;
    end_ = stroke.key == "q" ? HandEnd::kQuit : HandEnd::kLeave;
  } else if (stroke.key == "p") {
    editing_ = true;
    edited_.clear();
    held_.ReleaseAll();
  } else if (stroke.key == "c") {
    stream_->Control(v1::CONTROL_KIND_SNAPSHOT).IgnoreError();
  } else if (stroke.key == "r") {
    stream_->Control(v1::CONTROL_KIND_RESET).IgnoreError();
  }
}

void ByHand::EditPrompt(const Keystroke& stroke) {
  if (stroke.released) return;
  if (stroke.key == "escape") {
    editing_ = false;
  } else if (stroke.key == "enter") {
    editing_ = false;
    prompt_ = edited_;
    stream_->Prompt(prompt_).IgnoreError();
    deed_ = true;  // a lockstep world shows it with a block
  } else if (stroke.key == "backspace") {
    while (!edited_.empty() && (edited_.back() & 0xc0) == 0x80) edited_.pop_back();
    if (!edited_.empty()) edited_.pop_back();
  } else if (stroke.key.size() == 1 || static_cast<unsigned char>(stroke.key[0]) >= 0x80) {
    if (edited_.size() + stroke.key.size() <= kMaxPromptBytes) edited_ += stroke.key;
  }
}

// LOCKSTEP: a block for each keystroke. Otherwise says what is held when it has changed, and
// movements of the pointer, which hold for one block, for each block anew.
void ByHand::SendActions(bool new_block) {
  v1::Actions actions = held_.Actions(Now());
  const bool moves_on = new_block && actions.pointer_dx() != 0;
  const bool changed = !SameDeed(actions, last_sent_) || moves_on;
  if (!(options_.lockstep ? std::exchange(deed_, false) : changed)) return;
  last_sent_ = actions;
  actions.set_sequence(++sequence_);
  *actions.mutable_client_time() = ToProto(absl::Now());
  figures_->Sent(sequence_, Now());
  stream_->Act(actions).IgnoreError();
}

std::string ByHand::StatusLine() const {
  if (editing_) return absl::StrCat(" prompt: ", edited_, "_");
  const PlayFigures::Now now = figures_->now(Now());
  if (now.block < 0) return absl::StrCat(" ", model_, "  waiting for the first block");
  std::string line =
      absl::StrFormat(" %s  block %d  %.0f frames/s", model_, now.block, now.frames_per_second);
  if (now.action_to_frame_ms >= 0) {
    absl::StrAppendFormat(&line, "  action to frame %.0f ms", now.action_to_frame_ms);
  }
  if (now.network_ms >= 0) absl::StrAppendFormat(&line, " (network %.1f)", now.network_ms);
  if (now.late > 0) absl::StrAppendFormat(&line, "  %d late", now.late);
  if (!prompt_.empty()) absl::StrAppend(&line, "  \"", prompt_, "\"");
  return line;
}

void ByHand::Draw(Terminal* terminal) {
  const Terminal::Size size = terminal->size();
  const bool resized = size.columns != drawn_.columns || size.rows != drawn_.rows;
  drawn_ = size;
  RgbImage image;
  std::string keys = " ";
  {
    MutexLock lock(&mu_);
    if (std::exchange(fresh_, false) || resized) image = newest_;
    if (!message_.empty()) absl::StrAppend(&keys, message_, " | ");
  }
  keys += editing_ ? "enter sends it, escape does not" : help_;
  std::vector<std::string> lines = {StatusLine()};
  if (size.rows >= kFewRows) lines.push_back(std::move(keys));
  int row = size.rows - static_cast<int>(lines.size());
  std::string out = "\033[?2026h";  // shown at once, where a terminal can
  out += screen_.Draw(image, size.columns, row);
  for (const std::string& line : lines) {
    absl::StrAppend(&out, "\033[", ++row, ";1H\033[0;7m", Cut(line, size.columns), "\033[K\033[0m");
  }
  terminal->Write(out + "\033[?2026l");
}

}  // namespace firstbyte
