// What stands in for gRPC and metrics in the tests of streams.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/stream/speech_stream.h"

namespace firstbyte {

class CountingObserver : public StreamObserver {
 public:
  void OnStarted(const std::string&, const std::string&) override { ++started; }
  void OnEnded(const RequestRecord& record) override {
    ++ended;
    MutexLock lock(&mu);
    last = record;
  }
  void OnChunk(const std::string&, absl::Duration, std::optional<absl::Duration>) override {
    ++chunks;
  }
  void OnUnderrun(const std::string&, absl::Duration) override { ++underruns; }
  void OnStarved(const std::string&) override { ++starved; }
  void OnSlowConsumer(const std::string&) override { ++slow_consumers; }
  void OnOutboxBytes(int64_t delta) override { outbox_bytes += delta; }
  void OnWorldEnded(const WorldRecord& record) override {
    ++ended;
    if (record.admitted) ++admitted_ended;
  }
  void OnBlock(const std::string&, int, bool late) override {
    ++blocks;
    late_blocks += late;
  }
  void OnSkippedBlocks(const std::string&, int count) override { skipped_blocks += count; }
  void OnActionToFrame(const std::string&, absl::Duration delay) override {
    MutexLock lock(&mu);
    delays.push_back(delay);
  }

  std::atomic<int> started{0}, ended{0}, chunks{0}, underruns{0}, starved{0}, slow_consumers{0};
  std::atomic<int> admitted_ended{0};  // worlds
  std::atomic<int> blocks{0}, late_blocks{0}, skipped_blocks{0};
  std::atomic<int64_t> outbox_bytes{0};
  Mutex mu;
  std::vector<absl::Duration> delays ABSL_GUARDED_BY(mu);  // action to frame
  RequestRecord last ABSL_GUARDED_BY(mu);
};

// A transport that a test drives: it waits for messages and "writes" them at once.
class TestTransport : public StreamTransport {
 public:
  void WakeWriter() override { Notify(); }
  void WakeReader() override {
    ++reader_wakes;
    Notify();
  }

  // Blocks until the stream has something to say.
  template <typename Stream>
  typename Stream::NextResult Await(Stream& stream) {
    while (true) {
      int seen = Version();
      auto next = stream.Next();
      if (!std::holds_alternative<std::monostate>(next)) return next;
      MutexLock lock(&mu_);
      while (version_ == seen) changed_.Wait(&mu_);
    }
  }

  template <typename Stream>
  void AwaitReader(Stream& stream) {
    while (true) {
      int seen = Version();
      if (stream.ReadyForMore()) return;
      MutexLock lock(&mu_);
      while (version_ == seen) changed_.Wait(&mu_);
    }
  }

  std::atomic<int> reader_wakes{0};

 private:
  void Notify() {
    MutexLock lock(&mu_);
    ++version_;
    changed_.NotifyAll();
  }
  int Version() {
    MutexLock lock(&mu_);
    return version_;
  }

  Mutex mu_;
  CondVar changed_;
  int version_ ABSL_GUARDED_BY(mu_) = 0;
};

// Writes on whatever thread wakes it, as a fast network would: nothing waits for a test's thread.
class InlineTransport : public StreamTransport {
 public:
  void WakeWriter() override {
    MutexLock lock(&mu_);
    while (!ended_) {
      auto next = stream->Next();
      if (std::holds_alternative<std::monostate>(next)) return;
      if (std::holds_alternative<SpeechEnd>(next)) {
        ended_ = true;
        end_.NotifyAll();
        return;
      }
      stream->OnWritten();
    }
  }
  void WakeReader() override {}
  void AwaitEnd() {
    MutexLock lock(&mu_);
    while (!ended_) end_.Wait(&mu_);
  }

  std::shared_ptr<SpeechStream> stream;

 private:
  Mutex mu_;
  CondVar end_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace firstbyte
