#include "client/voices.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/rpc_status.h"
#include "client/say.h"
#include "client/speech_client.h"

namespace firstbyte {

std::string VoiceTable(const v1::ListVoicesResponse& voices) {
  using Row = std::array<std::string, 5>;
  std::vector<Row> rows = {{"VOICE", "MODEL", "LANGUAGES", "RATE", "DESCRIPTION"}};
  for (const v1::Voice& voice : voices.voices()) {
    rows.push_back({absl::StrCat(voice.name(), voice.is_default() ? " *" : ""), voice.model(),
                    absl::StrJoin(voice.language_codes(), ","),
                    absl::StrFormat("%g kHz", voice.sample_rate_hertz() / 1000.0),
                    voice.description()});
  }
  std::array<size_t, 5> width = {};
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], std::string(width[i] - row[i].size() + 2, ' '));
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&table, line, "\n");
  }
  return table;
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
