#include "client/cli/voices.h"

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/exit_codes.h"
#include "client/rpc_status.h"
#include "client/speech_client.h"
#include "client/table.h"

namespace firstbyte {

std::string VoiceTable(const v1::ListVoicesResponse& voices) {
  std::vector<std::vector<std::string>> rows = {
      {"VOICE", "MODEL", "LANGUAGES", "RATE", "DESCRIPTION"}};
  for (const v1::Voice& voice : voices.voices()) {
    rows.push_back({absl::StrCat(voice.name(), voice.is_default() ? " *" : ""), voice.model(),
                    absl::StrJoin(voice.language_codes(), ","),
                    absl::StrFormat("%g kHz", voice.sample_rate_hertz() / 1000.0),
                    voice.description()});
  }
  return Table(rows);
}

int Voices(const std::string& target) {
  auto voices = SpeechClient(target).ListVoices();
  if (!voices.ok()) {
    absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(voices.status(), target));
    return kExitFailed;
  }
  std::fputs(VoiceTable(*voices).c_str(), stdout);
  return kExitOk;
}

}  // namespace firstbyte
