// A client that asks for much and takes nothing: it is ended, and nobody else notices.
#include "tests/rpc/fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

class SlowConsumerTest : public RpcTest {
 protected:
  // A connection that takes 64 KiB and no more until somebody reads.
  std::unique_ptr<v1::SpeechService::Stub> NarrowStub() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 16 << 10);
    return v1::SpeechService::NewStub(
        grpc::CreateCustomChannel(target(), grpc::InsecureChannelCredentials(), arguments));
  }

  using Stream = grpc::ClientReaderWriter<v1::SynthesizeRequest, v1::SynthesizeResponse>;

  static std::unique_ptr<Stream> AskForMuch(v1::SpeechService::Stub* stub,
                                            grpc::ClientContext* context) {
    auto stream = stub->Synthesize(context);
    stream->Write(Request("config { chunking { max_lead_duration { seconds: 3600 } } }"));
    stream->Write(Text(std::string(20000, 'a') + "."));  // 800 s of it, 25 MB
    stream->WritesDone();
    v1::SynthesizeResponse started;
    EXPECT_TRUE(stream->Read(&started));  // and nothing after it
    return stream;
  }
  static grpc::Status Finish(Stream* stream) {
    v1::SynthesizeResponse response;
    while (stream->Read(&response)) {
    }
    return stream->Finish();
  }
};

TEST_F(SlowConsumerTest, IsEndedAndItsSlotIsFree) {
  HostOptions options;
  options.slow_consumer_timeout = absl::Milliseconds(50);
  Start({}, std::move(options));
  {
    auto stub = NarrowStub();
    grpc::ClientContext context;
    auto stuck = AskForMuch(stub.get(), &context);
    host_->live_calls().WaitUntilNone();
    EXPECT_EQ(host_->engine().admission().usage(0).used, 0);
    EXPECT_FALSE(Finish(stuck.get()).ok());
  }
  ExpectUnharmed();
}

TEST_F(SlowConsumerTest, FillsItsOwnOutboxOnly) {
  Start();
  {
    auto stub = NarrowStub();
    grpc::ClientContext context;
    auto stuck = AskForMuch(stub.get(), &context);
    for (int i = 0; i < 20; ++i) {
      Heard next = Synthesize({Request("config { sampling { seed: 3 } }"), Text("Still here.")});
      EXPECT_EQ(next.audio(), Pcm("Stillhere", 3));
    }
    context.TryCancel();
    EXPECT_EQ(Finish(stuck.get()).error_code(), StatusCode::CANCELLED);
  }
  ExpectUnharmed();
}

}  // namespace
}  // namespace firstbyte
