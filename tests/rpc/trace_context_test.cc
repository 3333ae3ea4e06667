#include "server/rpc/trace_context.h"

#include <string>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr char kGood[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, KnowsATraceparent) { EXPECT_TRUE(IsTraceparent(kGood)); }

TEST(TraceContext, AnythingElseIsNone) {
  EXPECT_FALSE(IsTraceparent(""));
  EXPECT_FALSE(IsTraceparent(std::string(kGood) + "0"));
  for (auto [at, to] :
       {std::pair<int, char>{1, '1'}, {10, 'F'}, {10, '\n'}, {35, '0'}, {52, '0'}, {54, 'g'}}) {
    std::string text = kGood;
    text[at] = to;
    EXPECT_FALSE(IsTraceparent(text)) << text;
  }
  EXPECT_FALSE(IsTraceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  EXPECT_FALSE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
}

}  // namespace
}  // namespace firstbyte
