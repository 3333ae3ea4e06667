#include "model/io/front_end.h"

#include <csetjmp>
#include <deque>
#include <future>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "model/io/flite_phones.h"

extern "C" {
void usenglish_init(cst_voice* voice);
cst_lexicon* cmulex_init(void);
}

namespace firstbyte {
namespace {

static_assert(ClausePhones::kFlags == kPhoneFlags);

cst_utterance* NoWave(cst_utterance* utterance) { return utterance; }

// A voice with flite's full text analysis and no sound: utt_synth() then runs the very modules
// that it runs for the training voice, up to accents and post-lexical rules.
cst_voice* NewSilentVoice() {
  cst_voice* voice = new_voice();
  usenglish_init(voice);
  cst_lexicon* lexicon = cmulex_init();
  feat_set(voice->features, "lexicon", lexicon_val(lexicon));
  feat_set(voice->features, "postlex_func", uttfunc_val(lexicon->postlex));
  feat_set_string(voice->features, "no_segment_duration_model", "1");
  feat_set_string(voice->features, "no_f0_target_model", "1");
  feat_set(voice->features, "wave_synth_func", uttfunc_val(&NoWave));
  return voice;
}

// What one run of flite works on. Outlives a longjmp, so that nothing in the protected function
// needs a destructor.
struct FliteRun {
  cst_voice* voice;
  const char* text;
  void (*fault)(const char* text);
  cst_utterance* utterance = nullptr;
  std::vector<FlitePhone>* phones;
  int count = -1;  // how many phones the clause has; -1: flite failed
};

// Runs flite under a jump buffer: its fatal errors return here, with run->count still -1. Without
// one they would end the process. No object with a destructor may live in this frame.
void RunFlite(FliteRun* run) {
  std::jmp_buf on_error;
  cst_errjmp = &on_error;
  if (setjmp(on_error) == 0) {
    run->utterance = new_utterance();
    utt_set_input_text(run->utterance, run->text);
    utt_init(run->utterance, run->voice);
    if (utt_synth(run->utterance) != nullptr) {
      if (run->fault != nullptr) run->fault(run->text);
      run->count = ReadFlitePhones(run->utterance, absl::MakeSpan(*run->phones));
    }
  }
  cst_errjmp = nullptr;
}

// Frees the utterance, also one that an error left half made.
void FreeUtterance(FliteRun* run) {
  std::jmp_buf on_error;
  cst_errjmp = &on_error;
  if (setjmp(on_error) == 0) delete_utterance(run->utterance);
  cst_errjmp = nullptr;
}

}  // namespace

// The thread that owns flite, and its queue. Callers wait, so the queue is as long as there are
// calling threads.
class FrontEnd::Worker {
 public:
  Worker(std::vector<std::string> phone_names, void (*fault)(const char* text)) : fault_(fault) {
    for (size_t i = 0; i < phone_names.size(); ++i) {
      phone_ids_[phone_names[i]] = static_cast<int>(i);
    }
    thread_ = std::thread([this] { Loop(); });
  }

  ~Worker() {
    {
      MutexLock lock(&mu_);
      stopping_ = true;
    }
    changed_.NotifyAll();
    thread_.join();
  }

  absl::StatusOr<ClausePhones> Process(absl::string_view clause) {
    Request request{std::string(clause), {}};
    for (char& c : request.text) {
      if (!absl::ascii_isprint(c)) c = ' ';
    }
    std::future<absl::StatusOr<ClausePhones>> result = request.result.get_future();
    {
      MutexLock lock(&mu_);
      queue_.push_back(&request);
    }
    changed_.NotifyOne();
    return result.get();
  }

 private:
  struct Request {
    std::string text;
    std::promise<absl::StatusOr<ClausePhones>> result;
  };

  void Loop() {
    NameThisThread("front_end");
    cst_voice* voice = NewSilentVoice();
    std::vector<FlitePhone> phones(kMaxPhones);
    while (Request* request = Next()) {
      request->result.set_value(Run(request->text, voice, &phones));
    }
    delete_voice(voice);
  }

  // Waits for work; null when the queue is empty and no more will come.
  Request* Next() {
    MutexLock lock(&mu_);
    while (queue_.empty() && !stopping_) changed_.Wait(&mu_);
    if (queue_.empty()) return nullptr;
    Request* request = queue_.front();
    queue_.pop_front();
    return request;
  }

  absl::StatusOr<ClausePhones> Run(const std::string& text, cst_voice* voice,
                                   std::vector<FlitePhone>* phones) {
    FliteRun run{.voice = voice, .text = text.c_str(), .fault = fault_, .phones = phones};
    RunFlite(&run);
    absl::StatusOr<ClausePhones> result = Convert(run);  // before the names are freed
    if (run.utterance != nullptr) FreeUtterance(&run);
    return result;
  }

  absl::StatusOr<ClausePhones> Convert(const FliteRun& run) const {
    if (run.count < 0 || run.count > kMaxPhones) {
      return Invalid("TEXT_NOT_PROCESSABLE", "the text front end could not process a clause",
                     "text.content");
    }
    ClausePhones result;
    result.phones.reserve(run.count);
    result.flags.reserve(run.count);
    for (int i = 0; i < run.count; ++i) {
      const FlitePhone& phone = (*run.phones)[i];
      const auto found = phone_ids_.find(phone.name);
      if (found == phone_ids_.end()) {
        return Error(absl::StatusCode::kInternal, "UNKNOWN_PHONE",
                     absl::StrCat("the model does not know the phone ", phone.name));
      }
      result.phones.push_back(found->second);
      result.flags.push_back(phone.flags);
    }
    return result;
  }

  void (*const fault_)(const char* text);
  absl::flat_hash_map<std::string, int> phone_ids_;
  Mutex mu_;
  CondVar changed_;
  std::deque<Request*> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

FrontEnd::FrontEnd(std::vector<std::string> phone_names, void (*fault)(const char* text))
    : worker_(std::make_unique<Worker>(std::move(phone_names), fault)) {}

FrontEnd::~FrontEnd() = default;

absl::StatusOr<ClausePhones> FrontEnd::Process(absl::string_view clause) {
  return worker_->Process(clause);
}

}  // namespace firstbyte
