#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/compiler/parser.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/timestamp.pb.h"
#include "gtest/gtest.h"
#include "tests/proto/proto_rules.h"

namespace firstbyte {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Our own protos, as protoc described them at build time.
class Files {
 public:
  explicit Files(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(set_.ParseFromIstream(&in)) << path;
    for (const FileDescriptorProto& file : set_.file())
      EXPECT_TRUE(pool_.BuildFile(file)) << file.name();
  }
  std::vector<const FileDescriptor*> ours() const {
    std::vector<const FileDescriptor*> files;
    for (const FileDescriptorProto& file : set_.file()) {
      if (file.package() == "firstbyte.v1") files.push_back(pool_.FindFileByName(file.name()));
    }
    return files;
  }
  const FileDescriptor* Find(const std::string& name) const { return pool_.FindFileByName(name); }

 private:
  FileDescriptorSet set_;
  DescriptorPool pool_;
};

// A file parsed from source text, comments included.
class Snippet {
 public:
  explicit Snippet(const std::string& source, const std::string& name = "firstbyte/v1/x.proto",
                   const std::string& head = kHead) {
    // The well-known types are in the generated pool only once something uses them.
    google::protobuf::Duration::descriptor();
    google::protobuf::Timestamp::descriptor();
    const std::string text = head + source;
    google::protobuf::io::ArrayInputStream raw(text.data(), text.size());
    google::protobuf::io::Tokenizer tokenizer(&raw, nullptr);
    FileDescriptorProto proto;
    google::protobuf::compiler::Parser parser;
    EXPECT_TRUE(parser.Parse(&tokenizer, &proto)) << text;
    proto.set_name(name);
    file_ = pool_.BuildFile(proto);
    EXPECT_NE(file_, nullptr) << text;
  }
  const FileDescriptor& operator*() const { return *file_; }

  static constexpr char kHead[] =
      "syntax = 'proto3'; package firstbyte.v1;\n"
      "import 'google/protobuf/duration.proto'; import 'google/protobuf/timestamp.proto';\n";

 private:
  DescriptorPool pool_{DescriptorPool::generated_pool()};
  const FileDescriptor* file_ = nullptr;
};

TEST(ProtoStyle, OursKeepsEveryRule) {
  Files now(FIRSTBYTE_DESCRIPTOR_SET);
  EXPECT_EQ(now.ours().size(), 4u);
  for (const FileDescriptor* file : now.ours()) EXPECT_THAT(StyleViolations(*file), IsEmpty());
}

TEST(ProtoStyle, AllServicesOfTheDesignAreThere) {
  Files now(FIRSTBYTE_DESCRIPTOR_SET);
  EXPECT_EQ(
      now.Find("firstbyte/v1/speech.proto")->FindServiceByName("SpeechService")->method_count(), 3);
  EXPECT_EQ(now.Find("firstbyte/v1/world.proto")->FindServiceByName("WorldService")->method_count(),
            7);
  EXPECT_NE(now.Find("firstbyte/v1/admin.proto")->FindServiceByName("AdminService"), nullptr);
}

// Every rule must be able to fail: one bad snippet each, and the words it must be told in.
struct Bad {
  const char* source;
  const char* complaint;
};

class ProtoStyleRule : public testing::TestWithParam<Bad> {};

TEST_P(ProtoStyleRule, IsBrokenBy) {
  Snippet bad(GetParam().source);
  EXPECT_THAT(StyleViolations(*bad), Contains(HasSubstr(GetParam().complaint)));
}

#define FIELD(field) "// C\nmessage M {\n // C\n " field " = 1; }"
#define RPC(rpc)                                                                              \
  "// C\nmessage ARequest {}\n// C\nmessage AResponse {}\n// C\nservice XService {\n // C\n " \
  "rpc " rpc "; }"
INSTANTIATE_TEST_SUITE_P(
    All, ProtoStyleRule,
    testing::Values(
        Bad{"message M {}", "M: has no leading comment"},
        Bad{"// C\nmessage M { int32 a = 1; }", "M.a: has no leading comment"},
        Bad{"// C\nmessage M {\n oneof o {\n // C\n int32 a = 1; } }",
            "M.o: has no leading comment"},
        Bad{"// C\nenum E { E_UNSPECIFIED = 0; }", "E_UNSPECIFIED: has no leading comment"},
        Bad{"enum E {\n // C\n E_UNSPECIFIED = 0; }", "E: has no leading comment"},
        Bad{"service XService {}", "XService: has no leading comment"},
        Bad{"// C\nmessage ARequest {}\n// C\nmessage AResponse {}\n// C\nservice XService { rpc "
            "A(ARequest) returns (AResponse); }",
            "XService.A: has no leading comment"},
        Bad{"// C\nmessage lower {}", "is not PascalCase"},
        Bad{"// C\nenum E {\n // C\n ZERO_UNSPECIFIED = 0;\n // C\n E_UNSPECIFIED = -1; }",
            "lacks the enum's name"},
        Bad{"// C\nenum E {\n // C\n E_NONE = 0; }", "is *_UNSPECIFIED"},
        Bad{"// C\nenum E {\n // C\n E_UNSPECIFIED = 0;\n // C\n E_lower = 1; }",
            "is not UPPER_SNAKE"},
        Bad{FIELD("int32 camelCase"), "is not snake_case"},
        Bad{FIELD("int32 wait_ms"), "spells a unit of time"},
        Bad{FIELD("int32 wait_duration"), "a Duration is named"},
        Bad{FIELD("google.protobuf.Duration wait"), "a Duration is named"},
        Bad{FIELD("google.protobuf.Duration at_offset"), "names its origin"},
        Bad{FIELD("google.protobuf.Timestamp opened"), "a Timestamp is named"},
        Bad{FIELD("int64 open_time"), "a Timestamp is named"},
        Bad{"// C\nservice Speech {}", "is not named *Service"},
        Bad{RPC("b(ARequest) returns (AResponse)"), "PascalCase"},
        Bad{RPC("A(ARequest) returns (AResponse);\n // C\n rpc B(ARequest) returns (AResponse)"),
            "XService.B: shares its *Request"},
        Bad{RPC("A(AResponse) returns (AResponse)"), "own *Request"},
        Bad{RPC("A(ARequest) returns (ARequest)"), "own *Response"},
        Bad{"// C\nmessage ARequest {}\n// C\nmessage AResponse {\n // C\n oneof what {\n // C\n "
            "int32 a = "
            "1; } }\n// C\nservice XService {\n // C\n rpc A(ARequest) returns (stream AResponse); "
            "}",
            "named 'response'"}));

TEST(ProtoStyle, FileRulesCanFail) {
  EXPECT_THAT(StyleViolations(*Snippet("", "firstbyte/v2/x.proto")),
              ElementsAre(HasSubstr("not in its package's folder")));
  EXPECT_THAT(StyleViolations(*Snippet("", "firstbyte/v1/X.proto")),
              ElementsAre(HasSubstr("file name")));
  EXPECT_THAT(
      StyleViolations(*Snippet("", "firstbyte/x.proto", "syntax='proto3'; package firstbyte;")),
      ElementsAre(HasSubstr("version")));
  EXPECT_THAT(StyleViolations(
                  *Snippet("", "firstbyte/v1/x.proto", "syntax='proto2'; package firstbyte.v1;")),
              ElementsAre(HasSubstr("proto3")));
}

TEST(ProtoBreaking, NothingBrokenSinceTheBaseline) {
  Files before(FIRSTBYTE_SOURCE_DIR "/tests/proto/baseline.desc"), now(FIRSTBYTE_DESCRIPTOR_SET);
  for (const FileDescriptor* was : before.ours()) {
    const FileDescriptor* is = now.Find(was->name());
    ASSERT_NE(is, nullptr) << was->name() << " was deleted";
    EXPECT_THAT(BreakingChanges(*was, *is), IsEmpty())
        << "If no client can have been built yet, renew the baseline with tools/proto_baseline.";
  }
}

constexpr char kBase[] =
    "message M { int32 a = 1; oneof o { int32 b = 2; } reserved 9; message N { int32 c = 1; } }\n"
    "enum E { E_UNSPECIFIED = 0; E_ONE = 1; }\n"
    "message Other {} service XService { rpc A(M) returns (stream Other); }\n";

TEST(ProtoBreaking, AdditionsAreFine) {
  EXPECT_THAT(BreakingChanges(*Snippet(kBase), *Snippet(std::string(kBase) + "message New {}")),
              IsEmpty());
}

// `was` in kBase becomes `is`.
struct Change {
  const char* was;
  const char* is;
  const char* complaint;
};
class ProtoBreakingRule : public testing::TestWithParam<Change> {};

TEST_P(ProtoBreakingRule, IsBrokenBy) {
  std::string changed = kBase;
  changed.replace(changed.find(GetParam().was), std::string(GetParam().was).size(), GetParam().is);
  EXPECT_THAT(BreakingChanges(*Snippet(kBase), *Snippet(changed)),
              Contains(HasSubstr(GetParam().complaint)));
}

INSTANTIATE_TEST_SUITE_P(
    All, ProtoBreakingRule,
    testing::Values(Change{"int32 a = 1;", "", "M.a: was deleted"},
                    Change{"int32 a = 1;", "reserved 1;", "M.a: was deleted"},
                    Change{"int32 a = 1", "int32 z = 1", "M.a: was renamed to z"},
                    Change{"int32 a = 1", "int64 a = 1", "M.a: changed type"},
                    Change{"int32 a = 1", "repeated int32 a = 1", "M.a: changed its label"},
                    Change{"int32 a = 1", "optional int32 a = 1", "M.a: changed its label"},
                    Change{"int32 a = 1", "int32 a = 3", "M.a: was deleted"},
                    Change{"oneof o { int32 b = 2; }", "int32 b = 2;", "oneof"},
                    Change{"reserved 9;", "", "freed number 9"},
                    Change{"message N { int32 c = 1; }", "", "M.N: was deleted"},
                    Change{"int32 c = 1;", "", "M.N.c: was deleted"},
                    Change{"E_ONE = 1;", "", "E_ONE: was deleted"},
                    Change{"E_ONE", "E_UNO", "E_ONE: was renamed"},
                    Change{"rpc A(M) returns (stream Other);", "", "XService.A: was deleted"},
                    Change{"(stream Other)", "(Other)", "changed its streaming"},
                    Change{"A(M)", "A(Other)", "changed its request"},
                    Change{"XService", "YService", "XService: was deleted"}));

TEST(ProtoBreaking, AnotherPackageIsABreak) {
  EXPECT_THAT(BreakingChanges(*Snippet(""), *Snippet("", "firstbyte/v1/x.proto",
                                                     "syntax='proto3'; package firstbyte.v2;")),
              ElementsAre(HasSubstr("package")));
}

}  // namespace
}  // namespace firstbyte
