#include "model/model.h"

namespace firstbyte {

absl::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kPrefill:
      return "prefill";
    case Stage::kGenerate:
      return "generate";
    case Stage::kDecode:
      return "decode";
    case Stage::kCommit:
      return "commit";
  }
  return "unknown";
}

bool CanRun(const Work& work, Stage stage) {
  switch (stage) {
    case Stage::kPrefill:
      return work.prefill;
    case Stage::kGenerate:
      return work.generate;
    case Stage::kDecode:
      return work.decode_frames > 0;
    case Stage::kCommit:
      return work.commit;
  }
  return false;
}

}  // namespace firstbyte
