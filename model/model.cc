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

}  // namespace firstbyte
