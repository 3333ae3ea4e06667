#include "model/scripted.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

void Push(Model& model, Session& session, const std::string& text) {
  auto prepared = model.Prepare({text});
  ASSERT_TRUE(prepared.ok());
  ASSERT_TRUE(session.Push(*std::move(prepared)).ok());
}

absl::Status Step(Model& model, Session& session, Stage stage, int frames = 1) {
  Session* batch[] = {&session};
  StepReport report;
  absl::Status status = model.Wait(model.Submit(stage, batch, frames), &report);
  return status.ok() ? report.session_status[0] : status;
}

// Runs whatever stage the session offers until it is done; returns everything it gave.
Output Drain(Model& model, Session& session, int decode_frames) {
  Output all;
  while (!session.work().done) {
    Work work = session.work();
    Stage stage = work.prefill    ? Stage::kPrefill
                  : work.generate ? Stage::kGenerate
                                  : Stage::kDecode;
    if (work.any()) {
      EXPECT_TRUE(Step(model, session, stage, decode_frames).ok());
    }
    Output out = session.Take();
    EXPECT_EQ(out.start_sample, static_cast<int64_t>(all.samples.size()));
    all.samples.insert(all.samples.end(), out.samples.begin(), out.samples.end());
    all.markers.insert(all.markers.end(), out.markers.begin(), out.markers.end());
  }
  return all;
}

TEST(Scripted, SpeaksOneFrameALetterAndPlacesMarkers) {
  auto model = MakeScriptedModel();
  auto session = *model->Open({.seed = 7});
  Push(*model, *session, "Ab, ");
  ASSERT_TRUE(session->Push(Marker{"m"}).ok());
  Push(*model, *session, "c.");
  ASSERT_TRUE(session->Push(EndOfInput{}).ok());
  Output out = Drain(*model, *session, 4);
  EXPECT_EQ(out.samples, ScriptedSamples("Abc", 7));
  ASSERT_EQ(out.markers.size(), 1u);
  EXPECT_EQ(out.markers[0].sample, 2 * 640);
}

TEST(Scripted, NothingSpeakableIsNull) {
  auto prepared = MakeScriptedModel()->Prepare({" ... "});
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(*prepared, nullptr);
}

TEST(Scripted, SlotsRunOutAndComeBack) {
  auto model = MakeScriptedModel({.slots = 1});
  auto first = *model->Open({});
  EXPECT_EQ(model->Open({}).status().code(), absl::StatusCode::kResourceExhausted);
  first.reset();
  EXPECT_TRUE(model->Open({}).ok());
}

TEST(Scripted, PoisonFailsOneSession) {
  auto model = MakeScriptedModel({.poison_letter = 'x'});
  auto session = *model->Open({});
  Push(*model, *session, "x");
  ASSERT_TRUE(Step(*model, *session, Stage::kPrefill).ok());
  EXPECT_EQ(Step(*model, *session, Stage::kGenerate).code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace firstbyte
