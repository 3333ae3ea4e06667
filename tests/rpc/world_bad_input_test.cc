// What a player gets for nonsense: a status that says why, and a server as before for all others.
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

struct BadWorldInput {
  const char* name;
  std::vector<v1::StepWorldRequest> requests;
  StatusCode code;
  const char* reason;
  const char* field;  // in ErrorInfo.metadata; "" = none
};
std::string NameOf(const testing::TestParamInfo<BadWorldInput>& info) { return info.param.name; }
void PrintTo(const BadWorldInput& input, std::ostream* out) { *out << input.name; }

v1::StepWorldRequest Open(const std::string& fields = "") { return Say("open { " + fields + " }"); }
v1::StepWorldRequest OpenWithImage(std::string image, v1::VideoFormat format) {
  v1::StepWorldRequest request;
  request.mutable_open()->mutable_create()->set_initial_image(std::move(image));
  request.mutable_open()->mutable_create()->set_initial_image_format(format);
  return request;
}
v1::StepWorldRequest TextPrompt(std::string text) {
  v1::StepWorldRequest request;
  request.mutable_prompt()->set_text(std::move(text));
  return request;
}

// A PNG of 65536 x 65536 pixels that ends where the first of them would come.
std::string HugePng() {
  const std::string header("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\b\2\0\0\0", 29);
  return header + "\xe3\xe6\xa7\xb4" + std::string("\0\0\0\x20IDAT", 8);
}

constexpr StatusCode kInvalid = StatusCode::INVALID_ARGUMENT;

const BadWorldInput kBadInputs[] = {
    // Out of order.
    {"HalfCloseAtOnce", {}, kInvalid, "OPEN_MISSING", "open"},
    {"ActionsBeforeOpen", {Step(1, "W")}, kInvalid, "OPEN_MISSING", "open"},
    {"PromptBeforeOpen", {Say("prompt { text: 'a' }")}, kInvalid, "OPEN_MISSING", "open"},
    {"CreditBeforeOpen", {Say("credit { blocks: 1 }")}, kInvalid, "OPEN_MISSING", "open"},
    {"ControlBeforeOpen",
     {Say("control { kind: CONTROL_KIND_PAUSE }")},
     kInvalid,
     "OPEN_MISSING",
     "open"},
    {"TwoOpens", {Open(), Open()}, kInvalid, "OPEN_REPEATED", "open"},
    {"EmptyMessage", {Open(), Say("")}, kInvalid, "EMPTY_MESSAGE", "request"},
    // Opening.
    {"UnknownWorld",
     {Open("model: 'nowhere'")},
     StatusCode::NOT_FOUND,
     "MODEL_NOT_FOUND",
     "open.model"},
    {"AVoiceIsNoWorld",
     {Open("model: 'scripted'")},
     StatusCode::NOT_FOUND,
     "MODEL_NOT_FOUND",
     "open.model"},
    {"UnknownPacing", {Open("pacing: 99")}, kInvalid, "OUT_OF_RANGE", "open.pacing"},
    {"UnknownVideoFormat",
     {Open("video { format: 99 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.video.format"},
    {"QualityTooHigh",
     {Open("video { quality: 101 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.video.quality"},
    {"QualityOfPng",
     {Open("video { format: VIDEO_FORMAT_PNG quality: 5 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.video.quality"},
    {"FpsNan", {Open("target_fps: nan")}, kInvalid, "OUT_OF_RANGE", "open.target_fps"},
    {"FpsNegative", {Open("target_fps: -1")}, kInvalid, "OUT_OF_RANGE", "open.target_fps"},
    {"FpsTooHigh", {Open("target_fps: 241")}, kInvalid, "OUT_OF_RANGE", "open.target_fps"},
    {"NegativeLimit",
     {Open("limits { max_idle_duration { seconds: -1 } }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.limits.max_idle_duration"},
    {"EndlessLimit",
     {Open("limits { max_session_duration { seconds: 9223372036854775807 } }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.limits.max_session_duration"},
    {"RequestIdWithLineBreak",
     {Open("request_id: 'a\\nb'")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.request_id"},
    {"AudioAtAnotherRate",
     {Open("audio { sample_rate_hertz: 48000 }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "open.audio.sample_rate_hertz"},
    {"BitrateForPcm",
     {Open("audio { bitrate_bps: 24000 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.audio.bitrate_bps"},
    {"AudioEncodingNotServed",
     {Open("audio { encoding: AUDIO_ENCODING_MULAW }")},
     StatusCode::UNIMPLEMENTED,
     "NOT_SUPPORTED",
     "open.audio.encoding"},
    {"GiantFirstPrompt",
     {Open("create { prompt: '" + std::string(5000, 'a') + "' }")},
     kInvalid,
     "TEXT_TOO_LONG",
     "open.create.prompt"},
    {"Latin1Prompt",
     {Open("create { prompt: 'caf\\351' }")},
     kInvalid,
     "INVALID_UTF8",
     "open.create.prompt"},
    // Pictures.
    {"GiantImage",
     {OpenWithImage(std::string((4 << 20) + 1, 'x'), v1::VIDEO_FORMAT_JPEG)},
     kInvalid,
     "IMAGE_TOO_LARGE",
     "open.create.initial_image"},
    {"ImageThatIsNone",
     {OpenWithImage("this is no picture", v1::VIDEO_FORMAT_UNSPECIFIED)},
     kInvalid,
     "BAD_IMAGE",
     "open.create.initial_image"},
    {"ImageOfBombSize",
     {OpenWithImage(HugePng(), v1::VIDEO_FORMAT_PNG)},
     kInvalid,
     "IMAGE_TOO_LARGE",
     "open.create.initial_image"},
    {"ImageCutOff",
     {OpenWithImage(HugePng().substr(0, 20), v1::VIDEO_FORMAT_PNG)},
     kInvalid,
     "BAD_IMAGE",
     "open.create.initial_image"},
    {"RawImageOfWrongSize",
     {OpenWithImage(std::string(7, 'x'), v1::VIDEO_FORMAT_RAW_RGB)},
     kInvalid,
     "BAD_IMAGE",
     "open.create.initial_image"},
    {"UnknownImageFormat",
     {OpenWithImage("x", static_cast<v1::VideoFormat>(77))},
     kInvalid,
     "OUT_OF_RANGE",
     "open.create.initial_image_format"},
    // Actions.
    {"UnknownKey", {Open(), Step(1, "TELEPORT")}, kInvalid, "UNKNOWN_KEY", "actions.keys"},
    {"UnknownAxis",
     {Open(), Say("actions { sequence: 1 axes { key: 'z' value: 0 } }")},
     kInvalid,
     "UNKNOWN_AXIS",
     "actions.axes"},
    {"NanAxis",
     {Open(), Say("actions { sequence: 1 axes { key: 'look_x' value: nan } }")},
     kInvalid,
     "NOT_A_NUMBER",
     "actions.axes"},
    {"AxisBeyondItsEnd",
     {Open(), Say("actions { sequence: 1 axes { key: 'look_x' value: 1.5 } }")},
     kInvalid,
     "OUT_OF_RANGE",
     "actions.axes"},
    {"NanPointer",
     {Open(), Say("actions { sequence: 1 pointer_dx: nan }")},
     kInvalid,
     "NOT_A_NUMBER",
     "actions.pointer_dx"},
    {"InfiniteScroll",
     {Open(), Say("actions { sequence: 1 scroll: inf }")},
     kInvalid,
     "NOT_A_NUMBER",
     "actions.scroll"},
    {"SequenceThatDoesNotGrow",
     {Open(), Step(5, "W"), Step(5, "W")},
     kInvalid,
     "SEQUENCE_NOT_GROWING",
     "actions.sequence"},
    {"RepeatForEver",
     {Open(), Say("actions { sequence: 1 repeat: 65 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "actions.repeat"},
    {"RepeatInRealtime",
     {Open("pacing: PACING_REALTIME"), Say("actions { sequence: 1 repeat: 2 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "actions.repeat"},
    {"NoTimestamp",
     {Open(), Say("actions { sequence: 1 client_time { nanos: -1 } }")},
     kInvalid,
     "OUT_OF_RANGE",
     "actions.client_time"},
    // Prompts.
    {"GiantPrompt",
     {Open(), TextPrompt(std::string(4097, 'a'))},
     kInvalid,
     "TEXT_TOO_LONG",
     "prompt.text"},
    {"PromptOfNothing", {Open(), Say("prompt {}")}, kInvalid, "EMPTY_MESSAGE", "prompt.content"},
    {"EmbeddingOfWrongSize",
     {Open(), Say("prompt { embedding { values: [1, 2, 3] } }")},
     kInvalid,
     "OUT_OF_RANGE",
     "prompt.embedding"},
    {"EmbeddingOfNothing",
     {Open(), Say("prompt { embedding {} }")},
     kInvalid,
     "OUT_OF_RANGE",
     "prompt.embedding"},
    {"EmbeddingOfNan",
     {Open(), Say("prompt { embedding { values: [1, 2, 3, nan] } }")},
     kInvalid,
     "NOT_A_NUMBER",
     "prompt.embedding"},
    // Controls and credit.
    {"NoControl", {Open(), Say("control {}")}, kInvalid, "OUT_OF_RANGE", "control.kind"},
    {"UnknownControl",
     {Open(), Say("control { kind: 99 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "control.kind"},
    {"NoCredit", {Open(), Say("credit {}")}, kInvalid, "OUT_OF_RANGE", "credit.blocks"},
    {"NegativeCredit",
     {Open(), Say("credit { blocks: -5 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "credit.blocks"},
    {"TooMuchCredit",
     {Open(), Say("credit { blocks: 1025 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "credit.blocks"},
    // Sessions and snapshots that are not there.
    {"UnknownSession",
     {Open("resume { session_id: 'x' token: 'y' last_block_received: -1 }")},
     StatusCode::NOT_FOUND,
     "SESSION_NOT_FOUND",
     "session_id"},
    {"NegativeBlock",
     {Open("resume { last_block_received: -2 }")},
     kInvalid,
     "OUT_OF_RANGE",
     "open.resume.last_block_received"},
    {"UnknownSnapshot",
     {Open("snapshot { snapshot_id: '../../etc/passwd' }")},
     StatusCode::NOT_FOUND,
     "SNAPSHOT_NOT_FOUND",
     "snapshot_id"},
};

class BadWorldInputTest : public WorldTest, public testing::WithParamInterface<BadWorldInput> {};

TEST_P(BadWorldInputTest, GetsAStatusThatSaysWhyAndHarmsNobody) {
  const BadWorldInput& bad = GetParam();
  Server server = Start();
  Player other(server.stub.get());
  other.Send("open { create { seed: 2 } video { format: VIDEO_FORMAT_RAW_RGB } }");
  other.Send(Step(1, "W"));
  other.ReadBlocks(1);

  Player player(server.stub.get());
  for (const auto& request : bad.requests) player.Send(request);
  if (bad.requests.empty()) player.HalfClose();
  const grpc::Status& status = player.Finish();
  EXPECT_EQ(status.error_code(), bad.code) << status.error_message();
  EXPECT_NE(status.error_message(), "");
  const google::rpc::ErrorInfo info = ErrorInfoOf(status);
  EXPECT_EQ(info.domain(), "firstbyte");
  EXPECT_EQ(info.reason(), bad.reason);
  EXPECT_EQ(info.metadata().count("field") ? info.metadata().at("field") : "", bad.field);
  EXPECT_EQ(player.trailers().count("x-request-id"), 1u);
  for (const auto& response : player.responses()) EXPECT_FALSE(response.has_summary());

  other.Send(Step(2, "A"));
  other.HalfClose();
  EXPECT_TRUE(other.Finish().ok()) << other.Finish().error_message();
  ExpectBlocks(other, 0, Frames(2, {"W", "A"}));
  ExpectUnharmed(server);
}

INSTANTIATE_TEST_SUITE_P(All, BadWorldInputTest, testing::ValuesIn(kBadInputs), NameOf);

}  // namespace
}  // namespace firstbyte
